//! What the shop sells.

use gantry_money::Money;
use time::OffsetDateTime;

use super::{Sku, Stock};

/// Something the shop sells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its key.
    pub sku: Sku,
    /// What it is called.
    pub name: ProductName,
    /// What one costs.
    pub price: Money,
    /// How many there are.
    pub stock: Stock,
    /// When it was created.
    pub created: OffsetDateTime,
    /// When it was last changed, its stock included.
    pub updated: OffsetDateTime,
}

/// What a product is called: 1 to 200 characters, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

/// Why there can be no such product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// The name is empty or too long.
    #[error("must have 1 to {} characters", ProductName::MAX_LEN)]
    NameLength,
    /// The name has control characters, which could forge lines where it is shown.
    #[error("must not have control characters")]
    NameCharacters,
}

impl ProductName {
    /// The most characters a name has.
    pub const MAX_LEN: usize = 200;

    /// The name of this text.
    ///
    /// # Errors
    /// [`ProductError::NameLength`], [`ProductError::NameCharacters`].
    pub fn parse(text: impl Into<String>) -> Result<Self, ProductError> {
        let text = text.into();
        match text.chars().count() {
            1..=Self::MAX_LEN if text.chars().any(char::is_control) => {
                Err(ProductError::NameCharacters)
            }
            1..=Self::MAX_LEN => Ok(Self(text)),
            _ => Err(ProductError::NameLength),
        }
    }

    /// A name that was taken once, when the rules may have been others.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Product {
    /// A new product.
    pub fn new(
        sku: Sku,
        name: ProductName,
        price: Money,
        stock: Stock,
        now: OffsetDateTime,
    ) -> Self {
        Self { sku, name, price, stock, created: now, updated: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_1_to_200_characters() {
        assert_eq!(ProductName::parse(""), Err(ProductError::NameLength));
        assert!(ProductName::parse("é".repeat(200)).is_ok());
        assert_eq!(ProductName::parse("é".repeat(201)), Err(ProductError::NameLength));
    }

    #[test]
    fn a_name_stays_on_its_line() {
        for name in ["\0", "tea\nlevel=error", "\u{1b}[31m"] {
            assert_eq!(ProductName::parse(name), Err(ProductError::NameCharacters), "{name:?}");
        }
    }
}
