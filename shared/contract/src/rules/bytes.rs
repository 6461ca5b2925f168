//! Conditions of `buf.validate.BytesRules`.

use super::Pattern;

/// `bytes.contains`.
pub fn contains(value: &[u8], part: &[u8]) -> bool {
    // `windows(0)` panics. The empty sequence is part of every value.
    part.is_empty() || value.windows(part.len()).any(|window| window == part)
}

/// `bytes.pattern`. Only UTF-8 text can match.
pub fn matches(value: &[u8], pattern: &Pattern) -> bool {
    std::str::from_utf8(value).is_ok_and(|text| pattern.is_in(text))
}
