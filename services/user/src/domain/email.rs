//! E-mail addresses.

use std::fmt;

use super::Invalid;

/// An e-mail address: kept as it was given, the same whatever its case.
///
/// Equality is that of [`key`](Self::key), so that one person cannot have two
/// accounts as `Ann@` and `ann@`. Addresses are ASCII, which makes case a simple
/// matter.
#[derive(Clone)]
pub struct Email(String);

impl Email {
    /// The longest address there is (RFC 5321).
    pub const MAX_LEN: usize = 254;

    /// Takes an address, without the white space around it.
    ///
    /// # Errors
    /// [`Invalid`] where it is no address or too long.
    pub fn try_new(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if is_address(text) {
            Ok(Self(text.to_owned()))
        } else {
            let rule = "must be an e-mail address of at most 254 characters";
            Err(Invalid { field: "email", rule })
        }
    }

    /// The address as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What makes it unique: the address in lower case.
    pub fn key(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// Sorts out what is certainly no address; that it exists only a mail can tell.
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
    fn what_is_no_address_is_refused() {
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
