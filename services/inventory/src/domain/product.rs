//! Products of the shop.

use gantry_money::Money;
use time::OffsetDateTime;

use super::{Sku, Stock};

/// Product of the shop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Key of the product.
    pub sku: Sku,
    /// Name.
    pub name: ProductName,
    /// Unit price.
    pub price: Money,
    /// Stock.
    pub stock: Stock,
    /// Time of creation.
    pub create_time: OffsetDateTime,
    /// Time of the last change of the product or its stock.
    pub update_time: OffsetDateTime,
}

/// Name of a product: 1 to 200 characters on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

/// Violation of a rule of products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// The name is empty or too long.
    #[error("must have 1 to {} characters", ProductName::MAX_LEN)]
    NameLength,
    /// The name has control characters, which can forge lines of a log.
    #[error("must not have control characters")]
    NameCharacters,
}

impl ProductName {
    /// Longest name, in characters.
    pub const MAX_LEN: usize = 200;

    /// Parses a name.
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

    /// Wraps a stored name without checking it: rules may have changed since.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// Returns the name as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Product {
    /// Creates a product.
    pub fn new(
        sku: Sku,
        name: ProductName,
        price: Money,
        stock: Stock,
        now: OffsetDateTime,
    ) -> Self {
        Self { sku, name, price, stock, create_time: now, update_time: now }
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
