//! Passwords and their hashes. `Debug` hides their contents, and none has a `Display`.

use std::fmt;

use super::{Invalid, text::opaque_string};

/// New password of a user: 8 to 128 characters, white space included.
///
/// Prepared by the OpaqueString profile (RFC 8265), so that it matches if typed on another keyboard.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Prepares a password, then counts its characters.
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

    /// Returns the password, for the hasher.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Password of a login. No rule applies to it: older rules may have allowed it, and only the hasher
/// verifies it.
#[derive(Clone)]
pub struct PasswordAttempt(String);

impl PasswordAttempt {
    /// Prepares the text as a [`Password`] is. Text that cannot be prepared is not any user's
    /// password, and is kept unchanged for the hasher.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self(opaque_string(&text).unwrap_or(text))
    }

    /// Returns the text, for the hasher.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Hash of a password, as a PHC string (`$argon2id$...`).
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a hash from the hasher.
    pub fn new(phc: impl Into<String>) -> Self {
        Self(phc.into())
    }

    /// Returns the PHC string.
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

hidden!(Password, PasswordAttempt, PasswordHash);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_8_to_128_characters_spaces_included() {
        assert_eq!(Password::try_new("  spaces  ").unwrap().expose(), "  spaces  ");
        for (character, times, is_taken) in [
            ("p", 7, false),
            ("p", 8, true),
            ("p", 128, true),
            ("p", 129, false),
            ("ä", 8, true),
            // Two code points, one character after the preparation.
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
    fn each_spelling_of_a_password_matches() {
        let forms = ["pässwörd\u{a0}1", "pa\u{308}sswo\u{308}rd 1", "pässwo\u{308}rd\u{3000}1"];
        for set in forms {
            for typed in forms {
                let (password, attempt) =
                    (Password::try_new(set).unwrap(), PasswordAttempt::new(typed));
                assert_eq!(password.expose(), attempt.expose());
            }
        }
        assert_ne!(
            Password::try_new("Password").unwrap().expose(),
            PasswordAttempt::new("password").expose()
        );
    }

    #[test]
    fn debug_hides_passwords_and_hashes() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Password::try_new("correct horse").unwrap(),
            PasswordAttempt::new("correct horse"),
            PasswordHash::new("correct horse"),
            Password::try_new("horse").unwrap_err(),
        );
        assert!(!shown.contains("horse"), "{shown}");
    }
}
