//! Reads `.env` files as docker compose does.
//!
//! Rules:
//! - `NAME=VALUE`, `NAME: VALUE`, each also behind `export`; spaces and tabs around both do not
//!   count; of a name that stands twice the last value holds;
//! - `#` begins a comment at the start of a line, and in a line behind white space;
//! - `'...'` is literal but for `\'`; `"..."` knows `\n`, `\r`, `\t`, `\\`, `\"`, `\'` and `\$`;
//!   both may have several lines;
//! - outside of single quotes `$NAME`, `${NAME}`, `${NAME:-default}` (unset or empty),
//!   `${NAME-default}` (unset), `${NAME:?why}`, `${NAME?why}`, `${NAME:+other}` and
//!   `${NAME+other}` are replaced: by a variable of the process, else by one that stands further
//!   up;
//! - a form that such tools read differently from each other is an error with its line, never
//!   a guess. No error repeats a value.

use std::collections::BTreeMap;

/// Longest value after replacements, in bytes.
const LONGEST: usize = 64 * 1024;
/// Deepest nesting of `${A:-${B:-...}}`.
const DEEPEST: u32 = 8;

/// A variable of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// A line that cannot be read, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) why: String,
}

/// Returns the variables for which `wanted` is true, and every line that cannot be read.
/// `outer` gives the variables of the process.
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
            // Inherited from the process, which is another source.
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
        // A value of another program that cannot be read matters to those that refer to it.
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

/// The text that is not yet read.
struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

type Assignment<'a> = Option<(String, Raw<'a>)>;

impl<'a> Lines<'a> {
    /// The next statement with its first line; `None` at the end.
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
                return Err("a value that begins with #: use quotes".to_owned());
            }
            _ => Raw::Plain(self.plain()?),
        };
        Ok(Some((name.to_owned(), raw)))
    }

    /// The text between quotes, with escapes as they were written.
    fn quoted(&mut self, quote: char) -> Result<&'a str, String> {
        let body = &self.rest[1..];
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = c == quote && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let Some(end) = end else {
            // Everything below belongs to the value or not: nobody can tell.
            self.rest = "";
            return Err(format!("no closing {quote}"));
        };
        self.skip(end + 2);
        let line_end = self.rest.find('\n').unwrap_or(self.rest.len());
        let behind = &self.rest[..line_end];
        let is_comment = behind.starts_with(char::is_whitespace) && behind.trim().starts_with('#');
        if !behind.trim().is_empty() && !is_comment {
            return Err(format!("text behind the closing {quote}"));
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

/// Gives the value of a name: none if it is not set, none inside if it cannot be read.
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
        if value.len() > LONGEST {
            return Err(format!("a value longer than {LONGEST} bytes"));
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

/// What a reference stands for, and the text behind it; `text` begins behind the `$`.
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
        return Err("a $ that begins no name: use single quotes for a literal $".to_owned());
    };
    if depth == DEEPEST {
        return Err(format!("more than {DEEPEST} levels of ${{}}"));
    }
    let end = closing_brace(inside).ok_or("a ${ without its }")?;
    let (name, rest) = inside[..end].split_at(name_length(inside));
    let signs = [":-", "-", ":?", "?", ":+", "+", ""];
    let sign = signs.into_iter().find(|sign| rest.starts_with(sign)).unwrap_or_default();
    let word = &rest[sign.len()..];
    if sign.is_empty() && !word.is_empty() {
        return Err(format!("${{{name}...}}: expected :-, -, :?, ?, :+ or + behind the name"));
    }
    let value = resolve(name, sign, lookup, || expand(word, escapes, lookup, depth + 1))?;
    Ok((value, &inside[end + 1..]))
}

/// The value that `$name` or `${name SIGN word}` stands for.
fn resolve(
    name: &str,
    sign: &str,
    lookup: &Lookup<'_>,
    word: impl Fn() -> Result<String, String>,
) -> Result<String, String> {
    let value = match lookup(name) {
        Some(None) => return Err(format!("{name}, which this refers to, cannot be read")),
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
        ("?", None) => Err(format!("{name} is required and not set")),
        (_, None) => Err(format!(
            "{name} is not set: give a default (${{{name}:-...}}), or use single quotes for a \
             literal $"
        )),
    }
}

/// Where the `}` is that belongs to a `{` in front of the text.
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
#[path = "dotenv_tests.rs"]
mod tests;
