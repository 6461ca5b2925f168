//! Passwords, and what is kept of them.
//!
//! None of these shows its contents in `Debug` or has a `Display`.

use std::fmt;

use super::{Invalid, text::opaque_string};

/// A password that a user may choose: 8 to 128 characters. White space counts.
///
/// Kept as the OpaqueString profile prepares it (RFC 8265), so that it matches whichever keyboard
/// it is typed on.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Takes a password. Its characters are counted after its preparation.
    ///
    /// # Errors
    /// [`Invalid`] if it is too short or too long, or has invisible characters.
    pub fn try_new(text: &str) -> Result<Self, Invalid> {
        let refuse = |rule| Err(Invalid { field: "password", rule });
        let Some(text) = opaque_string(text) else {
            return refuse("must not have control characters or other invisible characters");
        };
        if !(8..=128).contains(&text.chars().count()) {
            return refuse("must have 8 to 128 characters");
        }
        Ok(Self(text))
    }

    /// The password, for the hasher.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What somebody gives as their password. It obeys no rule: it may have been chosen
/// under older ones, and whether it is right only the hasher can tell.
#[derive(Clone)]
pub struct Attempt(String);

impl Attempt {
    /// Takes what somebody gives, prepared as a password is. What cannot be prepared is nobody's
    /// password, and goes through the hasher as it is.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(opaque_string(&text).unwrap_or(text))
    }

    /// The text, for the hasher.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What is kept of a password: its hash as a PHC string (`$argon2id$...`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// A hash that the hasher made.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! hidden {
    ($($secret:ident),*) => {$(
        impl fmt::Debug for $secret {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($secret), "(redacted)"))
            }
        }
    )*};
}

hidden!(Password, Attempt, PasswordHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_have_8_to_128_characters_and_are_not_trimmed() {
        assert_eq!(Password::try_new("  spaces  ").unwrap().expose(), "  spaces  ");
        for (character, times, is_taken) in [
            ("p", 7, false),
            ("p", 8, true),
            ("p", 128, true),
            ("p", 129, false),
            ("ä", 8, true),
            // Two code points each, and one character after the preparation.
            ("a\u{308}", 4, false),
            ("a\u{308}", 7, false),
            ("a\u{308}", 8, true),
            ("a\u{308}", 128, true),
            ("a\u{308}", 129, false),
        ] {
            let text = character.repeat(times);
            assert_eq!(Password::try_new(&text).is_ok(), is_taken, "{times} {character}");
        }
        let hidden = Password::try_new("password\u{200b}").unwrap_err();
        assert!(hidden.rule.contains("invisible"), "{hidden}");
    }

    #[test]
    fn a_password_matches_however_it_is_typed() {
        let forms = ["pässwörd\u{a0}1", "pa\u{308}sswo\u{308}rd 1", "pässwo\u{308}rd\u{3000}1"];
        for set in forms {
            for typed in forms {
                let (password, attempt) = (Password::try_new(set).unwrap(), Attempt::new(typed));
                assert_eq!(password.expose(), attempt.expose());
            }
        }
        assert_ne!(
            Password::try_new("Password").unwrap().expose(),
            Attempt::new("password").expose()
        );
    }

    #[test]
    fn debug_hides_passwords_and_hashes() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Password::try_new("correct horse").unwrap(),
            Attempt::new("correct horse"),
            PasswordHash::new("correct horse"),
            Password::try_new("horse").unwrap_err(),
        );
        assert!(!shown.contains("horse"), "{shown}");
    }
}
