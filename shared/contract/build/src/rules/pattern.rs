//! Translation of regular expressions from RE2, the syntax of rules, to the crate `regex`.

use std::mem;

/// Names of RE2's character classes.
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates an expression that is valid in both syntaxes. In RE2, `\d`, `\s`, `\w` and `\b` match
/// ASCII only, `\<` and `\>` are plain characters, and inside brackets another bracket, `&&`, `--`
/// and `~~` have no special meaning.
pub(super) fn from_re2(source: &str) -> String {
    let mut translation = Translation { rest: source, out: String::new() };
    while let Some(next) = translation.next() {
        match next {
            '\\' => drop(translation.escape(false)),
            '[' => translation.brackets(),
            other => translation.out.push(other),
        }
    }
    translation.out
}

/// State of a translation: remaining input and output.
struct Translation<'a> {
    rest: &'a str,
    out: String,
}

impl Translation<'_> {
    fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let next = rest.next();
        self.rest = rest.as_str();
        next
    }

    /// Copies `length` bytes unchanged.
    fn copy(&mut self, length: usize) {
        let (copied, rest) = self.rest.split_at(length);
        self.out.push_str(copied);
        self.rest = rest;
    }

    /// Translates the text from `[` to its `]`. If that is missing, the regex compiler will report
    /// it.
    fn brackets(&mut self) {
        self.out.push('[');
        if self.rest.starts_with('^') {
            self.copy(1);
        }
        let (mut first, mut begins_range, mut ends_range) = (true, false, false);
        while let Some(next) = self.next() {
            let character = match next {
                ']' if !mem::take(&mut first) => return self.out.push(']'),
                '-' if begins_range && !self.rest.starts_with(']') => {
                    self.out.push('-');
                    (begins_range, ends_range) = (false, true);
                    continue;
                }
                '\\' => self.escape(true),
                '[' if let Some(length) = self.posix() => {
                    self.out.push('[');
                    self.copy(length);
                    false
                }
                other => {
                    // An escaped `<` or `>` would mean a word boundary, so these two stay
                    // unescaped.
                    if other.is_ascii_punctuation() && !['<', '>'].contains(&other) {
                        self.out.push('\\');
                    }
                    self.out.push(other);
                    true
                }
            };
            first = false;
            begins_range = character && !mem::take(&mut ends_range);
        }
    }

    /// Returns the length of `:alpha:]` or another class name at the current position.
    fn posix(&self) -> Option<usize> {
        let (name, _) = self.rest.strip_prefix(':')?.split_once(":]")?;
        POSIX.contains(&name.trim_start_matches('^')).then_some(name.len() + 3)
    }

    /// Translates an escape, outside of brackets or `within` them. Returns true if it is a single
    /// character.
    fn escape(&mut self, within: bool) -> bool {
        let next = self.next();
        let ascii = match next.map(|next| next.to_ascii_lowercase()) {
            Some('d') => "0-9",
            Some('s') => r"\t\n\f\r\x20",
            Some('w') => "0-9A-Za-z_",
            _ => "",
        };
        match next {
            Some('d' | 's' | 'w') if within => self.out.push_str(ascii),
            Some('d' | 's' | 'w') => self.out.extend(["[", ascii, "]"]),
            Some('D' | 'S' | 'W') => self.out.extend(["[^", ascii, "]"]),
            Some('b') if !within => self.out.push_str(r"(?-u:\b)"),
            Some('B') if !within => self.out.push_str(r"(?-u:\B)"),
            Some(angle @ ('<' | '>')) => {
                self.out.push(angle);
                return true;
            }
            Some(other) => {
                self.out.extend(['\\', other]);
                // A class name or a character code.
                let length = match self.rest.find('}') {
                    Some(end) if self.rest.starts_with('{') && "pPx".contains(other) => end + 1,
                    _ if "pP".contains(other) => self.rest.chars().next().map_or(0, char::len_utf8),
                    _ => 0,
                };
                self.copy(length);
                return !"pP".contains(other);
            }
            None => self.out.push('\\'),
        }
        false
    }
}
