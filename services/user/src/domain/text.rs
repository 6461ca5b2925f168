//! One spelling for texts that look the same.
//!
//! Keyboards and systems write `é` as one code point or as `e` with an accent. Both are one text
//! after Unicode's Normalization Form C (UAX 15).

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfc};

/// Converts the text to Normalization Form C.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    if is_nfc(text) { text.into() } else { text.nfc().collect::<String>().into() }
}

/// Prepares a password by the OpaqueString profile (RFC 8265, section 4.2): replaces all spaces by
/// U+0020, converts the text to Normalization Form C, then checks the code points (RFC 8264, section
/// 7). Keeps case and width. Returns `None` if a code point [is disallowed](is_disallowed).
///
/// Differs from the profile in two points. Unassigned code points are allowed, so that letters of a
/// later Unicode version need no new release. Visible characters need no context, because a password
/// is compared and never shown.
pub(super) fn opaque_string(text: &str) -> Option<String> {
    let text: String = text.chars().map(|c| if is_space(c) { ' ' } else { c }).nfc().collect();
    let mut before = None;
    for c in text.chars() {
        // RFC 5892, appendices A.1 and A.2: joiners are visible after a virama.
        let after_virama = before.is_some_and(|c| canonical_combining_class(c) == VIRAMA);
        if is_disallowed(c) && !(is_joiner(c) && after_virama) {
            return None;
        }
        before = Some(c);
    }
    Some(text)
}

/// Returns true for characters that forge lines, reverse the text beside them or are invisible.
pub(super) fn is_deceptive(c: char) -> bool {
    is_disallowed(c) && !is_joiner(c)
}

const VIRAMA: u8 = 9;

/// Space separators (general category Zs).
fn is_space(c: char) -> bool {
    matches!(
        c,
        '\u{20}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Returns true for code points that the FreeformClass disallows (RFC 8264, section 9): controls, line
/// separators, default-ignorable code points, old Hangul jamo, private use and noncharacters.
fn is_disallowed(c: char) -> bool {
    c.is_control()
        || u32::from(c) & 0xfffe == 0xfffe
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{1100}'..='\u{11ff}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{a960}'..='\u{a97c}' | '\u{d7b0}'..='\u{d7fb}'
            | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn composed_and_decomposed_texts_are_equal() {
        for (composed, decomposed) in [
            ("café", "cafe\u{301}"),
            ("Åse", "A\u{30a}se"),
            ("ộ", "o\u{302}\u{323}"),
            ("한글", "\u{1112}\u{1161}\u{11ab}\u{1100}\u{1173}\u{11af}"),
            // Singletons, which no keyboard writes.
            ("Å", "\u{212b}"),
        ] {
            assert_eq!(nfc(decomposed), composed);
            assert_eq!(opaque_string(decomposed).as_deref(), Some(composed));
            assert_eq!(opaque_string(composed).as_deref(), Some(composed));
        }
    }

    // RFC 8265, section 4.2.3.
    #[test]
    fn the_examples_of_the_profile_hold() {
        for text in ["correct horse battery staple", "Correct Horse Battery Staple", "πßå"] {
            assert_eq!(opaque_string(text).as_deref(), Some(text));
        }
        assert_eq!(opaque_string("Jack of \u{2666}s").as_deref(), Some("Jack of ♦s"));
        assert_eq!(opaque_string("foo\u{1680}bar").as_deref(), Some("foo bar"));
        assert_eq!(opaque_string("my cat is a \u{9}by"), None);
    }

    #[test]
    fn spaces_become_equal_and_case_and_width_stay() {
        for space in ['\u{a0}', '\u{2003}', '\u{202f}', '\u{205f}', '\u{3000}'] {
            assert_eq!(opaque_string(&format!(" a{space}{space}b ")).as_deref(), Some(" a  b "));
        }
        for text in ["ＦＵＬＬ", "ﬁ", "②", "ſ", "İ", "🤣", "🫠"] {
            assert_eq!(opaque_string(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn invisible_characters_are_refused() {
        for text in [
            "a\0",
            "a\n",
            "a\u{7f}",
            "a\u{85}",
            "a\u{ad}b",
            "a\u{200b}",
            "a\u{200d}b",
            "\u{200c}",
            "a\u{2028}",
            "a\u{202e}b",
            "a\u{2066}",
            "\u{feff}a",
            "❤\u{fe0f}",
            "\u{e000}",
            "\u{fdd0}",
            "\u{ffff}",
            "\u{1fffe}",
            "\u{10ffff}",
            "\u{e0041}",
            "\u{3164}",
            "\u{1100}",
        ] {
            assert_eq!(opaque_string(text), None, "{text:?}");
        }
        // A joiner after a virama forms a letter.
        assert!(opaque_string("क\u{94d}\u{200d}").is_some());
    }
}
