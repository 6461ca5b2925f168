//! Passwords, and what is kept of them.
//!
//! None of these shows its contents in `Debug` or has a `Display`.

use std::fmt;

use super::Invalid;

/// A password that a user may choose: 8 to 128 characters. White space counts.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// Takes a password exactly as it was given.
    ///
    /// # Errors
    /// [`Invalid`] where it is too short or too long.
    pub fn try_new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if (8..=128).contains(&text.chars().count()) {
            Ok(Self(text))
        } else {
            Err(Invalid { field: "password", rule: "must have 8 to 128 characters" })
        }
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
    /// Takes it exactly as it was given.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
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
        assert!(Password::try_new("ä".repeat(8)).is_ok());
        assert!(Password::try_new("p".repeat(128)).is_ok());
        assert!(Password::try_new("p".repeat(7)).is_err());
        assert!(Password::try_new("p".repeat(129)).is_err());
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
