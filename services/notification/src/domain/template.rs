//! Templates with `{placeholder}`s.

/// Form of the text that a template makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Plain text: values are inserted as they are.
    Text,
    /// HTML: values are escaped for elements and quoted attributes.
    Html,
}

/// Replaces each `{name}` by its value, in one pass: a value that looks like a placeholder stays as it is.
/// Unknown placeholders stay too; a test has every template without one.
pub(super) fn fill(template: &str, form: Form, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let found = after.split_once('}').and_then(|(name, after)| {
            let value = values.iter().find(|(known, _)| *known == name)?.1;
            Some((value, after))
        });
        match found {
            Some((value, after)) => {
                match form {
                    Form::Text => out.push_str(value),
                    Form::Html => escape(value, &mut out),
                }
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Escapes text for HTML elements and quoted attributes.
fn escape(text: &str, out: &mut String) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_filled_in_once() {
        let values = [("name", "{total}"), ("total", "5 EUR")];
        let filled = fill("Dear {name}, {total} {other} {", Form::Text, &values);
        assert_eq!(filled, "Dear {total}, 5 EUR {other} {");
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let values = [("name", "<b>\"O'Neil\" & {name}</b>")];
        assert_eq!(fill("{name}", Form::Text, &values), values[0].1);
        assert_eq!(
            fill("<p>{name}</p>", Form::Html, &values),
            "<p>&lt;b&gt;&quot;O&#39;Neil&quot; &amp; {name}&lt;/b&gt;</p>"
        );
    }
}
