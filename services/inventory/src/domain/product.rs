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

/// What a product is called: 1 to 200 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductName(String);

/// Why there can be no such product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProductError {
    /// A new product's SKU has only these characters, so that it can stand in a URL, a
    /// file name or a list.
    #[error("must have only letters, digits, dots, underscores and dashes")]
    SkuCharacters,
    /// The name is empty or too long.
    #[error("must have 1 to {} characters", ProductName::MAX_LEN)]
    NameLength,
}

impl ProductName {
    /// The most characters a name has.
    pub const MAX_LEN: usize = 200;

    /// The name of this text.
    ///
    /// # Errors
    /// [`ProductError::NameLength`].
    pub fn parse(text: impl Into<String>) -> Result<Self, ProductError> {
        let text = text.into();
        match text.chars().count() {
            1..=Self::MAX_LEN => Ok(Self(text)),
            _ => Err(ProductError::NameLength),
        }
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Product {
    /// A new product.
    ///
    /// # Errors
    /// [`ProductError::SkuCharacters`].
    pub fn new(
        sku: Sku,
        name: ProductName,
        price: Money,
        stock: Stock,
        now: OffsetDateTime,
    ) -> Result<Self, ProductError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !sku.as_str().chars().all(fits) {
            return Err(ProductError::SkuCharacters);
        }
        Ok(Self { sku, name, price, stock, created: now, updated: now })
    }
}

#[cfg(test)]
mod tests {
    use gantry_money::Currency;

    use super::*;

    #[test]
    fn a_new_products_sku_has_plain_characters_only() {
        let create = |sku: &str| {
            Product::new(
                Sku::parse(sku).unwrap(),
                ProductName::parse("Widget").unwrap(),
                Money::zero(Currency::parse("EUR").unwrap()),
                Stock::new(1).unwrap(),
                OffsetDateTime::UNIX_EPOCH,
            )
            .map(drop)
        };
        assert_eq!(create("Az09._-"), Ok(()));
        for sku in ["a b", "a,b", "a/b", "é", "a\n"] {
            assert_eq!(create(sku), Err(ProductError::SkuCharacters), "{sku:?}");
        }
    }

    #[test]
    fn a_name_has_1_to_200_characters() {
        assert_eq!(ProductName::parse(""), Err(ProductError::NameLength));
        assert!(ProductName::parse("é".repeat(200)).is_ok());
        assert_eq!(ProductName::parse("é".repeat(201)), Err(ProductError::NameLength));
    }
}
