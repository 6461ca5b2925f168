//! Regular expressions: a rule's are RE2's, which Rust's crate reads otherwise in part.

use std::mem;

/// What stands in brackets after a colon and means something in RE2.
const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// The expression that means to the crate `regex` what `source` means to RE2, where both
/// take it: `\d`, `\s`, `\w` and `\b` know ASCII alone; `\<` and `\>` are characters; and
/// between brackets neither another bracket nor `&&`, `--` or `~~` means anything.
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

/// What is still to be read, and what was written.
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

    /// Takes over so many bytes as they are.
    fn copy(&mut self, length: usize) {
        let (copied, rest) = self.rest.split_at(length);
        self.out.push_str(copied);
        self.rest = rest;
    }

    /// After `[`, up to its `]`. Where that is missing, the compiler of the expression
    /// will say so.
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
                    // Not these two, which become something else by it.
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

    /// The length of `:alpha:]` and the like, where that comes next.
    fn posix(&self) -> Option<usize> {
        let (name, _) = self.rest.strip_prefix(':')?.split_once(":]")?;
        POSIX.contains(&name.trim_start_matches('^')).then_some(name.len() + 3)
    }

    /// After `\`, outside of brackets or `within`; says whether it is a single character.
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
                // A class by its name, or a character by its number.
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
