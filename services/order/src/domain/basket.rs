//! Baskets: requested products and quantities.

use std::fmt;

/// Stock keeping unit: key of a product in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

impl Sku {
    /// Wraps a SKU. The inventory service checks it.
    pub fn new(sku: impl Into<String>) -> Self {
        Self(sku.into())
    }

    /// Returns the SKU.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Quantity of a product: 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

impl Quantity {
    /// Largest quantity of one line. Stock reservations have the same bound.
    pub const MAX: u32 = 1_000_000;

    /// Returns the quantity, or `None` if it is out of range.
    pub fn new(quantity: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&quantity).then_some(Self(quantity))
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// Requested items: at least one, each product once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket(Vec<(Sku, Quantity)>);

/// Violation of a rule of baskets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasketError {
    /// The basket is empty.
    #[error("an order needs at least one item")]
    Empty,
    /// The quantities of one product add up to more than [`Quantity::MAX`].
    #[error("the quantities of {0} add up to more than {max}", max = Quantity::MAX)]
    TooMany(Sku),
}

impl Basket {
    /// Creates a basket. Keeps the order of the items and adds the quantities of the same product.
    ///
    /// # Errors
    /// [`BasketError`].
    pub fn new(items: impl IntoIterator<Item = (Sku, Quantity)>) -> Result<Self, BasketError> {
        let mut basket: Vec<(Sku, Quantity)> = Vec::new();
        for (sku, quantity) in items {
            match basket.iter_mut().find(|(known, _)| *known == sku) {
                Some((_, sum)) => {
                    // Both are at most a million, so the sum fits.
                    let more = Quantity::new(sum.get() + quantity.get());
                    *sum = more.ok_or(BasketError::TooMany(sku))?;
                }
                None => basket.push((sku, quantity)),
            }
        }
        if basket.is_empty() { Err(BasketError::Empty) } else { Ok(Self(basket)) }
    }

    /// Returns the items.
    pub fn items(&self) -> &[(Sku, Quantity)] {
        &self.0
    }

    /// Returns the SKUs of the items.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.0.iter().map(|(sku, _)| sku)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sku: &str, quantity: u32) -> (Sku, Quantity) {
        (Sku::new(sku), Quantity::new(quantity).unwrap())
    }

    #[test]
    fn quantities_of_the_same_product_are_added() {
        let basket = Basket::new([item("b", 1), item("a", 2), item("b", 3)]).unwrap();
        assert_eq!(basket.items(), [item("b", 4), item("a", 2)]);
    }

    #[test]
    fn the_limit_applies_to_the_sum() {
        let half = Quantity::MAX / 2;
        assert!(Basket::new([item("a", half), item("a", half)]).is_ok());
        let over = Basket::new([item("a", half), item("a", half), item("a", 1)]);
        assert_eq!(over, Err(BasketError::TooMany(Sku::new("a"))));
    }

    #[test]
    fn an_empty_basket_is_refused() {
        assert_eq!(Basket::new([]), Err(BasketError::Empty));
    }

    #[test]
    fn a_quantity_is_one_to_a_million() {
        assert_eq!(Quantity::new(0), None);
        assert_eq!(Quantity::new(1).unwrap().get(), 1);
        assert_eq!(Quantity::new(1_000_000).unwrap().get(), 1_000_000);
        assert_eq!(Quantity::new(1_000_001), None);
    }
}
