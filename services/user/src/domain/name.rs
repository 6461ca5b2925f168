//! Names of users.

use std::fmt;

use super::{
    Invalid,
    text::{is_deceptive, nfc},
};

/// Name of a user: 2 to 100 characters on one line, in Normalization Form C.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Checks a name and removes white space around it.
    ///
    /// # Errors
    /// [`Invalid`] if it is too short or too long, or has characters that forge lines, reverse the
    /// text beside them or are invisible.
    pub fn try_new(text: &str) -> Result<Self, Invalid> {
        let text = nfc(text.trim());
        let refuse = |rule| Err(Invalid { field: "name", rule });
        if !(2..=100).contains(&text.chars().count()) {
            return refuse("must have 2 to 100 characters, not counting white space around it");
        }
        if text.chars().any(is_deceptive) {
            return refuse("must not have control characters or other invisible characters");
        }
        Ok(Self(text.into_owned()))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_2_to_100_characters() {
        for text in ["Bo", " Bo ", "李明", &"é".repeat(100)] {
            assert_eq!(Name::try_new(text).unwrap().as_str(), text.trim());
        }
        for text in ["", "B", "  B  ", "    ", &"e".repeat(101)] {
            assert!(Name::try_new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_stays_on_its_line() {
        for text in ["Ann\nlevel=error", "Ann\u{2028}x", "Ann\u{202e}x", "Ann\u{200b}"] {
            assert!(Name::try_new(text).is_err(), "{text:?}");
        }
        // Persian names have joiners.
        assert!(Name::try_new("علی\u{200c}رضا").is_ok());
    }

    #[test]
    fn a_name_has_one_spelling() {
        assert_eq!(Name::try_new("Rene\u{301}"), Name::try_new("René"));
    }
}
