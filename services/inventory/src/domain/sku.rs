//! Keys of products.

use std::fmt;

/// Stock keeping unit: 1 to 64 characters, case-sensitive.
///
/// Its characters are safe in URLs, file names and comma-separated lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

/// Violation of a rule of SKUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkuError {
    /// The text is empty or longer than 64 characters.
    #[error("must have 1 to {} characters", Sku::MAX_LEN)]
    Length,
    /// The text has characters other than letters, digits, dots, underscores and dashes.
    #[error("must have only letters, digits, dots, underscores and dashes")]
    Characters,
}

impl Sku {
    /// Longest SKU, in characters.
    pub const MAX_LEN: usize = 64;

    /// Parses a SKU.
    ///
    /// # Errors
    /// [`SkuError::Length`], [`SkuError::Characters`].
    pub fn parse(text: impl Into<String>) -> Result<Self, SkuError> {
        let text = text.into();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match text.chars().count() {
            1..=Self::MAX_LEN if text.chars().all(fits) => Ok(Self(text)),
            1..=Self::MAX_LEN => Err(SkuError::Characters),
            _ => Err(SkuError::Length),
        }
    }

    /// Returns the SKU as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_has_1_to_64_plain_characters() {
        assert_eq!(Sku::parse(""), Err(SkuError::Length));
        assert!(Sku::parse("Az09._-".repeat(9)).is_ok());
        assert_eq!(Sku::parse("e".repeat(65)), Err(SkuError::Length));
        for sku in ["a b", "a,b", "a/b", "é", "a\n"] {
            assert_eq!(Sku::parse(sku), Err(SkuError::Characters), "{sku:?}");
        }
    }
}
