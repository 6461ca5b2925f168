//! Escaping of characters that are invisible or control a terminal or log viewer.
//!
//! Paths, metadata and messages come from untrusted peers. A raw control sequence can repaint the
//! reader's terminal, a bidirectional override reorders text, and a zero-width character makes two
//! different names look alike.

use std::borrow::Cow;

/// Letters and symbols that are invisible although Unicode does not class them as format
/// characters.
const BLANKS: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// Escapes everything but visible characters, spaces, tabs and line feeds.
///
/// The escapes are those of Rust's literals (`\u{202e}`). They cover control characters (C0, DEL
/// and C1), format characters (bidirectional controls, zero-width characters, tags), separators
/// other than the space, combining marks, and private and unassigned code points. Line feeds and
/// tabs stay, because a backtrace needs them. JSON escapes them anyway.
pub(crate) fn printable(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) || text.chars().all(is_plain) {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match is_plain(c) {
            true => escaped.push(c),
            false => escaped.extend(c.escape_default()),
        }
    }
    Cow::Owned(escaped)
}

fn is_plain(c: char) -> bool {
    match c {
        ' '..='~' | '\n' | '\t' => true,
        // Uses std's Unicode tables: only a visible character is its own escape.
        _ => c.escape_debug().len() == 1 && !BLANKS.contains(&c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        printable(Cow::Borrowed(text)).into_owned()
    }

    #[test]
    fn visible_text_is_unchanged() {
        for text in
            ["", r#"a "b" \c ~"#, "zoë, Ελλάδα, 東京, שלום, مرحبا, ₿ 🦀", "two\nlines\tand a tab"]
        {
            assert_eq!(shown(text), text);
        }
    }

    #[test]
    fn everything_else_is_escaped() {
        for (raw, escaped) in [
            ("\0", r"\u{0}"),
            ("\x1b[2J", r"\u{1b}[2J"),
            ("\r", r"\r"),
            ("\x7f", r"\u{7f}"),
            ("\u{85}", r"\u{85}"),
            ("\u{9b}31m", r"\u{9b}31m"),
            ("\u{a0}", r"\u{a0}"),
            ("\u{ad}", r"\u{ad}"),
            ("e\u{301}", r"e\u{301}"),
            ("\u{61c}", r"\u{61c}"),
            ("\u{180e}", r"\u{180e}"),
            ("\u{200b}\u{200d}\u{200f}", r"\u{200b}\u{200d}\u{200f}"),
            ("\u{2028}\u{2029}", r"\u{2028}\u{2029}"),
            ("\u{202a}\u{202e}", r"\u{202a}\u{202e}"),
            ("\u{2060}\u{2066}\u{2069}", r"\u{2060}\u{2066}\u{2069}"),
            ("\u{3164}", r"\u{3164}"),
            ("\u{e000}", r"\u{e000}"),
            ("\u{fe0f}\u{feff}\u{fff9}", r"\u{fe0f}\u{feff}\u{fff9}"),
            ("\u{fffe}", r"\u{fffe}"),
            ("\u{e0041}", r"\u{e0041}"),
            ("\u{10ffff}", r"\u{10ffff}"),
        ] {
            assert_eq!(shown(raw), escaped);
        }
    }

    #[test]
    fn no_control_or_format_character_is_left() {
        // The ranges that Unicode calls Cc, and the bidirectional and zero-width characters of Cf.
        let ranges = [0..=0x1f, 0x7f..=0x9f, 0x200b..=0x200f, 0x2028..=0x202f, 0x2060..=0x206f];
        for c in ranges.into_iter().flatten().filter_map(char::from_u32) {
            let expected = matches!(c, '\n' | '\t');
            assert_eq!(shown(&c.to_string()) == c.to_string(), expected, "{c:?}");
        }
    }
}
