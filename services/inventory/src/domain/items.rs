//! What a reservation is about: products and how many of each.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{MAX_STOCK, Sku};

/// How many: at least 1, at most what a product's stock can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(NonZeroU32);

/// Why a number is not a [`Quantity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1 and {MAX_STOCK}")]
pub struct QuantityError;

impl Quantity {
    /// So many.
    ///
    /// # Errors
    /// [`QuantityError`] for 0 and for more than [`MAX_STOCK`].
    pub fn new(count: u32) -> Result<Self, QuantityError> {
        NonZeroU32::new(count)
            .filter(|count| count.get() <= MAX_STOCK)
            .map(Self)
            .ok_or(QuantityError)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn plus(self, other: Self) -> Result<Self, QuantityError> {
        Self::new(self.get().saturating_add(other.get()))
    }
}

/// Different products, at least one, each with its quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Items(BTreeMap<Sku, Quantity>);

/// Why a list is not [`Items`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// There is nothing in it.
    #[error("there must be an item")]
    Empty,
    /// A product named more than once comes to too many.
    #[error("{0}: together more than {MAX_STOCK}")]
    TooMany(Sku),
}

impl Items {
    /// The items of a list, in which a product may stand several times: its quantities
    /// are added.
    ///
    /// # Errors
    /// [`ItemsError`].
    pub fn collect(list: impl IntoIterator<Item = (Sku, Quantity)>) -> Result<Self, ItemsError> {
        let mut items = BTreeMap::new();
        for (sku, quantity) in list {
            let sum = match items.get(&sku) {
                Some(before) => {
                    quantity.plus(*before).map_err(|_| ItemsError::TooMany(sku.clone()))?
                }
                None => quantity,
            };
            items.insert(sku, sum);
        }
        if items.is_empty() { Err(ItemsError::Empty) } else { Ok(Self(items)) }
    }

    /// Each product once, by SKU.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Sku, Quantity)> {
        self.0.iter().map(|(sku, quantity)| (sku, *quantity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sku: &str, quantity: u32) -> (Sku, Quantity) {
        (Sku::parse(sku).unwrap(), Quantity::new(quantity).unwrap())
    }

    #[test]
    fn a_product_named_twice_counts_together() {
        let items = Items::collect([item("b", 1), item("a", 2), item("b", 3)]).unwrap();
        let list: Vec<_> = items.iter().map(|(sku, q)| (sku.as_str(), q.get())).collect();
        assert_eq!(list, [("a", 2), ("b", 4)]);
    }

    #[test]
    fn there_are_no_empty_items() {
        assert_eq!(Items::collect([]), Err(ItemsError::Empty));
        assert_eq!(Quantity::new(0), Err(QuantityError));
    }

    #[test]
    fn more_than_can_be_in_stock_is_no_quantity() {
        assert_eq!(Quantity::new(MAX_STOCK + 1), Err(QuantityError));
        let (sku, most) = item("a", MAX_STOCK);
        let one = Quantity::new(1).unwrap();
        assert_eq!(
            Items::collect([(sku.clone(), most), (sku.clone(), one)]),
            Err(ItemsError::TooMany(sku))
        );
    }
}
