//! The recipient of a mail.

use std::fmt;

/// Name and address of the recipient of a mail. Both are harmless in a header: they have no line break and
/// no other control character, and the address has no character that ends it.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    name: String,
    address: String,
}

/// A name or an address that no header can hold. The text itself is personal, so it is not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecipient {
    /// The name has a control character, or more than [`Recipient::MAX_NAME`] characters.
    #[error("the name has a control character or is too long")]
    Name,
    /// The address is no `local@domain`, or too long (RFC 5321, section 4.5.3.1).
    #[error("the address is not a mail address")]
    Address,
}

impl Recipient {
    /// Longest name, in characters.
    pub const MAX_NAME: usize = 200;

    /// Longest address, in bytes (RFC 5321, section 4.5.3.1.3, without the angle brackets).
    pub const MAX_ADDRESS: usize = 254;

    /// Creates a recipient.
    ///
    /// # Errors
    /// [`InvalidRecipient`].
    pub fn new(
        name: impl Into<String>,
        address: impl Into<String>,
    ) -> Result<Self, InvalidRecipient> {
        let (name, address) = (name.into(), address.into());
        if name.chars().count() > Self::MAX_NAME || name.chars().any(breaks_lines) {
            return Err(InvalidRecipient::Name);
        }
        if !is_address(&address) {
            return Err(InvalidRecipient::Address);
        }
        Ok(Self { name, address })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address.
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Personal data stays out of logs.
impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recipient([redacted])")
    }
}

/// Returns true for control characters and for Unicode's line and paragraph separators.
fn breaks_lines(character: char) -> bool {
    character.is_control() || matches!(character, '\u{2028}' | '\u{2029}')
}

fn is_address(address: &str) -> bool {
    // Special characters of a header (RFC 5322, section 3.2.3). Quoted local parts, which may have some of
    // them, are refused.
    const SPECIAL: &str = "()<>[]:;\\,\"";
    let is_plain = |c: char| !breaks_lines(c) && !c.is_whitespace() && !SPECIAL.contains(c);
    let Some((local, domain)) = address.rsplit_once('@') else { return false };
    address.len() <= Recipient::MAX_ADDRESS
        && (1..=64).contains(&local.len())
        && !domain.is_empty()
        && !local.contains('@')
        && !domain.starts_with(['.', '-'])
        && address.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_line_break_is_refused() {
        for name in ["Ann\r\nBcc: eve@example.org", "Ann\nX", "Ann\rX", "Ann\u{2028}X", "A\0B"] {
            let refused = Recipient::new(name, "ann@example.org");
            assert_eq!(refused, Err(InvalidRecipient::Name), "{name:?}");
        }
        assert_eq!(Recipient::new("a".repeat(201), "a@b.c"), Err(InvalidRecipient::Name));
        assert!(Recipient::new("Änn <\"O'Neil\">, 李", "ann@example.org").is_ok());
    }

    #[test]
    fn only_a_plain_address_is_taken() {
        for address in [
            "",
            "ann",
            "@example.org",
            "ann@",
            "a@b@example.org",
            "ann@example.org\r\nRCPT TO:<eve@example.org>",
            "ann @example.org",
            "ann@example.org, eve@example.org",
            "<ann@example.org>",
            "\"ann\"@example.org",
            "ann@.org",
        ] {
            let refused = Recipient::new("Ann", address);
            assert_eq!(refused, Err(InvalidRecipient::Address), "{address:?}");
        }
        let long = format!("ann@{}.org", "d".repeat(250));
        assert_eq!(Recipient::new("Ann", long), Err(InvalidRecipient::Address));
        for address in ["ann@example.org", "o'neil+shop@mail.example", "änn@bücher.example"] {
            assert!(Recipient::new("Ann", address).is_ok(), "{address}");
        }
    }

    #[test]
    fn debug_hides_the_person() {
        let ann = Recipient::new("Ann", "ann@example.org").map(|ann| format!("{ann:?}"));
        assert_eq!(ann.as_deref(), Ok("Recipient([redacted])"));
    }
}
