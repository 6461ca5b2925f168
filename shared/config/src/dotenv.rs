//! Parser of `.env` files, with docker compose's rules.
//!
//! - Lines are `NAME=VALUE` or `NAME: VALUE`, optionally after `export`. Spaces and tabs around name
//!   and value are ignored. The last value of a name wins.
//! - `#` starts a comment at the start of a line, and after white space within a line.
//! - `'...'` is literal except for `\'`. `"..."` has the escapes `\n`, `\r`, `\t`, `\\`, `\"`, `\'`
//!   and `\$`. Both may span lines.
//! - Outside single quotes, `$NAME`, `${NAME}`, `${NAME:-default}` (unset or empty),
//!   `${NAME-default}` (unset), `${NAME:?why}`, `${NAME?why}`, `${NAME:+other}` and `${NAME+other}`
//!   are replaced by the process's variable, else by an earlier one of the file.
//! - A form that tools read in different ways is an error with its line. No error contains a value.

use std::collections::BTreeMap;

/// Maximum length of a value after replacements, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// Maximum nesting of `${A:-${B:-...}}`.
const MAX_DEPTH: u32 = 8;

/// A variable of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// An invalid line and the reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// Returns the variables for which `wanted` is true, and every invalid line. `outer` returns a variable
/// of the process.
pub(crate) fn parse(
    text: &str,
    wanted: impl Fn(&str) -> bool,
    outer: impl Fn(&str) -> Option<String>,
) -> (Vec<Entry>, Vec<BadLine>) {
    let text = text.replace("\r\n", "\n");
    let mut lines = Lines { rest: &text, line: 1 };
    let mut inner = BTreeMap::new();
    let (mut entries, mut bad) = (Vec::new(), Vec::new());
    while let Some((line, statement)) = lines.statement() {
        let (name, raw) = match statement {
            Ok(Some(assignment)) => assignment,
            // A name without a value is inherited from the process, which is another source.
            Ok(None) => continue,
            Err(why) => {
                bad.push(BadLine { line, why });
                continue;
            }
        };
        let lookup = |name: &str| outer(name).map(Some).or_else(|| inner.get(name).cloned());
        let value = raw.value(&lookup);
        if wanted(&name) {
            match &value {
                Ok(value) => {
                    entries.push(Entry { line, name: name.clone(), value: value.clone() });
                }
                Err(why) => bad.push(BadLine { line, why: why.clone() }),
            }
        }
        // An invalid value of another program is an error only for values that refer to it.
        inner.insert(name, value.ok());
    }
    (entries, bad)
}

/// A value before replacements.
enum Raw<'a> {
    Plain(&'a str),
    Single(&'a str),
    Double(&'a str),
}

/// Unread rest of the text.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

type Assignment<'a> = Option<(String, Raw<'a>)>;

impl<'a> Lines<'a> {
    /// Returns the next statement with the number of its first line, or None at the end.
    fn statement(&mut self) -> Option<(usize, Result<Assignment<'a>, String>)> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.skip(blank);
            if self.rest.is_empty() {
                return None;
            }
            if !self.rest.starts_with('#') {
                break;
            }
            self.skip_line();
        }
        let line = self.line;
        let read = self.assignment();
        if read.is_err() {
            self.skip_line();
        }
        Some((line, read))
    }

    fn assignment(&mut self) -> Result<Assignment<'a>, String> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let head = &self.rest[..end];
        let exported = head.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let head_start = exported.map_or(0, |rest| head.len() - rest.len());
        let sign = head.find(['=', ':']);
        let name = head[head_start..sign.unwrap_or(end)].trim();
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if name.is_empty() || !name.chars().all(is_name) {
            return Err("expected NAME=VALUE".to_owned());
        }
        let Some(sign) = sign else {
            if name.starts_with(crate::source::PREFIX) {
                return Err(format!("expected {name}=VALUE"));
            }
            self.skip_line();
            return Ok(None);
        };
        self.skip(sign + 1);
        let spaces = self.rest.len() - self.rest.trim_start_matches([' ', '\t']).len();
        self.skip(spaces);
        let raw = match self.rest.chars().next() {
            Some('\'') => Raw::Single(self.quoted('\'')?),
            Some('"') => Raw::Double(self.quoted('"')?),
            Some('`') => return Err("a value in backquotes: use single quotes".to_owned()),
            Some('#') if spaces == 0 => {
                return Err("a value that starts with #: use quotes".to_owned());
            }
            _ => Raw::Plain(self.plain()?),
        };
        Ok(Some((name.to_owned(), raw)))
    }

    /// Returns the text between quotes, escapes unchanged.
    fn quoted(&mut self, quote: char) -> Result<&'a str, String> {
        let body = &self.rest[1..];
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else {
            // The rest may or may not belong to the value.
            self.rest = "";
            return Err(format!("no closing {quote}"));
        };
        self.skip(end + 2);
        let line_end = self.rest.find('\n').unwrap_or(self.rest.len());
        let behind = &self.rest[..line_end];
        let is_comment = behind.starts_with(char::is_whitespace) && behind.trim().starts_with('#');
        if !behind.trim().is_empty() && !is_comment {
            return Err(format!("text after the closing {quote}"));
        }
        self.skip_line();
        Ok(&body[..end])
    }

    fn plain(&mut self) -> Result<&'a str, String> {
        let end = self.rest.find('\n').unwrap_or(self.rest.len());
        let line = &self.rest[..end];
        let comment = line.char_indices().find(|(at, c)| {
            *c == '#' && line[..*at].chars().next_back().is_none_or(char::is_whitespace)
        });
        let value = line[..comment.map_or(end, |(at, _)| at)].trim();
        if value.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a control character in a value without quotes".to_owned());
        }
        self.skip_line();
        Ok(value)
    }

    fn skip(&mut self, bytes: usize) {
        let (skipped, rest) = self.rest.split_at(bytes);
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }

    fn skip_line(&mut self) {
        self.skip(self.rest.find('\n').map_or(self.rest.len(), |end| end + 1));
    }
}

/// Returns the value of a name: None if it is unset, Some(None) if its value is invalid.
type Lookup<'a> = dyn Fn(&str) -> Option<Option<String>> + 'a;

impl Raw<'_> {
    fn value(&self, lookup: &Lookup<'_>) -> Result<String, String> {
        match self {
            Self::Single(text) => Ok(text.replace(r"\'", "'")),
            Self::Plain(text) => expand(text, false, lookup, 0),
            Self::Double(text) => expand(text, true, lookup, 0),
        }
    }
}

fn expand(text: &str, escapes: bool, lookup: &Lookup<'_>, depth: u32) -> Result<String, String> {
    let mut value = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '$']) {
        let (before, from) = rest.split_at(at);
        value.push_str(before);
        let behind = &from[1..];
        if from.starts_with('$') {
            let (replaced, after) = reference(behind, escapes, lookup, depth)?;
            value.push_str(&replaced);
            rest = after;
        } else if escapes {
            let escape = behind.chars().next().unwrap_or('\n');
            value.push(unescaped(escape)?);
            rest = &behind[escape.len_utf8()..];
        } else if behind.starts_with('$') {
            return Err(r"\$ without quotes: use single quotes for a literal $".to_owned());
        } else {
            value.push('\\');
            rest = behind;
        }
        if value.len() > MAX_LENGTH {
            return Err(format!("a value longer than {MAX_LENGTH} bytes"));
        }
    }
    value.push_str(rest);
    Ok(value)
}

fn unescaped(escape: char) -> Result<char, String> {
    match escape {
        'n' => Ok('\n'),
        'r' => Ok('\r'),
        't' => Ok('\t'),
        '\\' | '"' | '\'' | '$' => Ok(escape),
        '\n' => Err(r"a line that ends with \ in double quotes".to_owned()),
        _ => Err(r"an unknown escape in double quotes: use \\ for \, or single quotes".to_owned()),
    }
}

/// Returns the value of a reference and the text after it. `text` starts after the `$`.
fn reference<'a>(
    text: &'a str,
    escapes: bool,
    lookup: &Lookup<'_>,
    depth: u32,
) -> Result<(String, &'a str), String> {
    let name_length = |text: &str| {
        text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len())
    };
    let starts_name = |text: &str| text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts_name(text) {
        let (name, after) = text.split_at(name_length(text));
        return Ok((resolve(name, "", lookup, || Ok(String::new()))?, after));
    }
    let inside = text.strip_prefix('{').filter(|inside| starts_name(inside));
    let Some(inside) = inside else {
        return Err("a $ without a name: use single quotes for a literal $".to_owned());
    };
    if depth == MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} levels of ${{}}"));
    }
    let end = closing_brace(inside).ok_or("a ${ without a }")?;
    let (name, rest) = inside[..end].split_at(name_length(inside));
    let signs = [":-", "-", ":?", "?", ":+", "+", ""];
    let sign = signs.into_iter().find(|sign| rest.starts_with(sign)).unwrap_or_default();
    let word = &rest[sign.len()..];
    if sign.is_empty() && !word.is_empty() {
        return Err(format!("${{{name}...}}: expected :-, -, :?, ?, :+ or + after the name"));
    }
    let value = resolve(name, sign, lookup, || expand(word, escapes, lookup, depth + 1))?;
    Ok((value, &inside[end + 1..]))
}

/// Returns the value of `$name` or `${name SIGN word}`.
fn resolve(
    name: &str,
    sign: &str,
    lookup: &Lookup<'_>,
    word: impl Fn() -> Result<String, String>,
) -> Result<String, String> {
    let value = match lookup(name) {
        Some(None) => return Err(format!("it refers to {name}, whose value is invalid")),
        Some(Some(value)) => Some(value),
        None => None,
    };
    let counts = |value: &String| !(sign.starts_with(':') && value.is_empty());
    let value = value.filter(counts);
    match (sign.trim_start_matches(':'), value) {
        ("+", Some(_)) => word(),
        ("+", None) => Ok(String::new()),
        (_, Some(value)) => Ok(value),
        ("-", None) => word(),
        ("?", None) => Err(format!("{name} is required and unset")),
        (_, None) => Err(format!(
            "{name} is unset: give a default (${{{name}:-...}}), or use single quotes for a \
             literal $"
        )),
    }
}

/// Returns the position of the `}` that closes a `{` before the text.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    text.char_indices().find_map(|(at, c)| match c {
        '{' => {
            open += 1;
            None
        }
        '}' if open == 0 => Some(at),
        '}' => {
            open -= 1;
            None
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests;
