//! Items of a reservation: products and quantities.

use std::{collections::BTreeMap, num::NonZeroU32};

use super::{MAX_STOCK, Sku};

/// Quantity: 1 to the largest stock of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(NonZeroU32);

/// Number outside the range of a [`Quantity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be between 1 and {MAX_STOCK}")]
pub struct QuantityError;

impl Quantity {
    /// Creates a quantity.
    ///
    /// # Errors
    /// [`QuantityError`] for 0 and for more than [`MAX_STOCK`].
    pub fn new(count: u32) -> Result<Self, QuantityError> {
        NonZeroU32::new(count)
            .filter(|count| count.get() <= MAX_STOCK)
            .map(Self)
            .ok_or(QuantityError)
    }

    /// Returns the number.
    pub fn get(self) -> u32 {
        self.0.get()
    }

    fn plus(self, other: Self) -> Result<Self, QuantityError> {
        Self::new(self.get().saturating_add(other.get()))
    }
}

/// Items: at least one, each product once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Items(BTreeMap<Sku, Quantity>);

/// Violation of a rule of items.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemsError {
    /// The list is empty.
    #[error("there must be at least one item")]
    Empty,
    /// The quantities of one product add up to more than [`MAX_STOCK`].
    #[error("the quantities of {0} add up to more than {MAX_STOCK}")]
    TooMany(Sku),
}

impl Items {
    /// Creates items from a list. Adds the quantities of the same product.
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

    /// Returns the items, ordered by SKU.
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
    fn quantities_of_the_same_product_are_added() {
        let items = Items::collect([item("b", 1), item("a", 2), item("b", 3)]).unwrap();
        let list: Vec<_> = items.iter().map(|(sku, q)| (sku.as_str(), q.get())).collect();
        assert_eq!(list, [("a", 2), ("b", 4)]);
    }

    #[test]
    fn an_empty_list_is_refused() {
        assert_eq!(Items::collect([]), Err(ItemsError::Empty));
        assert_eq!(Quantity::new(0), Err(QuantityError));
    }

    #[test]
    fn a_quantity_above_the_largest_stock_is_refused() {
        assert_eq!(Quantity::new(MAX_STOCK + 1), Err(QuantityError));
        let (sku, most) = item("a", MAX_STOCK);
        let one = Quantity::new(1).unwrap();
        assert_eq!(
            Items::collect([(sku.clone(), most), (sku.clone(), one)]),
            Err(ItemsError::TooMany(sku))
        );
    }
}
