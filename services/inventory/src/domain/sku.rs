//! The key of a product.

use std::fmt;

/// A stock keeping unit: 1 to 64 characters, upper and lower case being different.
///
/// It may be a product's key or one that was merely asked for; that a new product's has
/// only certain characters is the rule of [`super::Product::new`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

/// Why a text is not a [`Sku`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkuError {
    /// It is empty or longer than 64 characters.
    #[error("must have 1 to {} characters", Sku::MAX_LEN)]
    Length,
}

impl Sku {
    /// The most characters a SKU has.
    pub const MAX_LEN: usize = 64;

    /// The SKU of this text.
    ///
    /// # Errors
    /// [`SkuError::Length`].
    pub fn parse(text: impl Into<String>) -> Result<Self, SkuError> {
        let text = text.into();
        match text.chars().count() {
            1..=Self::MAX_LEN => Ok(Self(text)),
            _ => Err(SkuError::Length),
        }
    }

    /// As it was given.
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
    fn length_counts_characters() {
        assert_eq!(Sku::parse(""), Err(SkuError::Length));
        assert!(Sku::parse("é".repeat(64)).is_ok());
        assert_eq!(Sku::parse("é".repeat(65)), Err(SkuError::Length));
    }
}
