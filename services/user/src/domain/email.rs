//! E-mail addresses.

use std::fmt;

use super::Invalid;

/// E-mail address in ASCII. Keeps its case, and compares without it.
///
/// Addresses are equal if their [keys](Self::key) are, so that one person cannot have two accounts
/// as `Ann@` and `ann@`.
#[derive(Clone)]
pub struct Email(String);

impl Email {
    /// Longest address, in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const MAX_LEN: usize = 254;

    /// Checks an address and removes white space around it.
    ///
    /// # Errors
    /// [`Invalid`] if it is not an address, or is longer than [`Email::MAX_LEN`].
    pub fn try_new(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_address(text) {
            Ok(Self(text.to_owned()))
        } else {
            let rule = "must be an e-mail address of at most 254 characters";
            Err(Invalid { field: "email", rule })
        }
    }

    /// Returns the address in its original case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the address in lower case, which is unique among users.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// Returns false for text that cannot be an address. Only a mail can prove that an address exists.
fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    text.len() <= Email::MAX_LEN
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !local.is_empty()
        && !domain.contains('@')
        && domain.split('.').all(|label| !label.is_empty())
}

impl PartialEq for Email {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Email {}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_case_and_compares_without_it() {
        let given = Email::try_new(" Ann@Example.ORG ").unwrap();
        assert_eq!(given.as_str(), "Ann@Example.ORG");
        assert_eq!(given.key(), "ann@example.org");
        assert_eq!(given, Email::try_new("ann@example.org").unwrap());
        assert_ne!(given, Email::try_new("anna@example.org").unwrap());
    }

    #[test]
    fn a_malformed_address_is_refused() {
        let long = format!("{}@example.org", "a".repeat(243));
        for text in
            ["", "ann", "@example.org", "ann@", "ann@@b", "a b@c.d", "a@b..c", "ä@b.c", &long]
        {
            assert_eq!(Email::try_new(text).unwrap_err().field, "email", "{text}");
        }
        assert!(Email::try_new(&long[1..]).is_ok());
    }

    #[test]
    fn debug_hides_it() {
        assert_eq!(format!("{:?}", Email::try_new("ann@example.org").unwrap()), "Email(redacted)");
    }
}
