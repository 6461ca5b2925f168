//! Removal of secrets and personal data from log lines.

use std::borrow::Cow;

/// Fields whose values are never written.
const SECRET_FIELDS: [&str; 7] =
    ["authorization", "email", "password", "secret", "token", "access_token", "refresh_token"];

/// Replacement for a secret.
pub(crate) const REDACTED: &str = "[redacted]";

/// Returns true if the value of a field of this name must not be written.
pub(crate) fn is_secret_field(name: &str) -> bool {
    SECRET_FIELDS.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Returns `text` with `[e-mail]` in place of everything that looks like an e-mail address or the
/// credentials in a URL, and `[token]` in place of everything that looks like a signed token.
pub fn redact(text: &str) -> Cow<'_, str> {
    if !text.contains('@') && !text.contains("eyJ") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(is_boundary).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        clean.push_str(stand_in(word).unwrap_or(word));
        let boundary = after.chars().next().map_or(0, char::len_utf8);
        clean.push_str(&after[..boundary]);
        rest = &after[boundary..];
    }
    Cow::Owned(clean)
}

fn is_boundary(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '='
        )
}

fn stand_in(word: &str) -> Option<&'static str> {
    // The header of a JWT is a JSON object, and `{"` in base64 is `eyJ`.
    if word.starts_with("eyJ") && word.contains('.') {
        return Some("[token]");
    }
    let (name, host) = word.split_once('@')?;
    (!name.is_empty() && host.starts_with(char::is_alphanumeric)).then_some("[e-mail]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_e_mails_and_tokens_are_redacted() {
        for (text, clean) in [
            ("a plain line", "a plain line"),
            ("ann@example.com wrote", "[e-mail] wrote"),
            ("to <ann.b+c@shop.example>, now", "to <[e-mail]>, now"),
            ("user=\"ann@localhost\"", "user=\"[e-mail]\""),
            ("at postgres://shop:pw@db:5432/x", "at [e-mail]"),
            ("Bearer eyJhbGciOi.eyJzdWIi.c2ln!", "Bearer [token]"),
            ("load @ 3 and @home", "load @ 3 and @home"),
            ("zoë@exämple.de é@", "[e-mail] é@"),
        ] {
            assert_eq!(redact(text), clean);
        }
    }

    #[test]
    fn fields_are_secret_by_name() {
        assert!(is_secret_field("Authorization"));
        assert!(!is_secret_field("user_id"));
    }
}
