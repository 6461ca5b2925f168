//! Stock of a product.

use super::Quantity;

/// Largest sum of a product's available, reserved and sold items.
pub const MAX_STOCK: u32 = 1_000_000_000;

/// Numbers of available, reserved and sold items.
///
/// [`Stock::reserve`], [`Stock::commit`] and [`Stock::release`] never change their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    available: u32,
    reserved: u32,
    sold: u32,
}

/// Counts outside the range of a [`Stock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be between 0 and {MAX_STOCK}")]
pub struct StockError;

/// More items are committed or released than are reserved: the stock disagrees with its reservations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("less is reserved than the reservations say")]
pub struct Unbalanced;

impl Stock {
    /// Creates a stock of available items.
    ///
    /// # Errors
    /// [`StockError`] for more than [`MAX_STOCK`].
    pub fn new(available: u32) -> Result<Self, StockError> {
        Self::stored(available, 0, 0)
    }

    /// Restores a stored stock.
    ///
    /// # Errors
    /// [`StockError`] if the sum is more than [`MAX_STOCK`].
    pub fn stored(available: u32, reserved: u32, sold: u32) -> Result<Self, StockError> {
        let total = u64::from(available) + u64::from(reserved) + u64::from(sold);
        if total > u64::from(MAX_STOCK) {
            return Err(StockError);
        }
        Ok(Self { available, reserved, sold })
    }

    /// Returns the number of available items.
    pub fn available(self) -> u32 {
        self.available
    }

    /// Returns the number of reserved items.
    pub fn reserved(self) -> u32 {
        self.reserved
    }

    /// Returns the number of sold items.
    pub fn sold(self) -> u32 {
        self.sold
    }

    /// Reserves items. Returns `None` if too few are available.
    pub fn reserve(self, quantity: Quantity) -> Option<Self> {
        let available = self.available.checked_sub(quantity.get())?;
        // Cannot overflow: the sum is at most MAX_STOCK and does not change.
        Some(Self { available, reserved: self.reserved + quantity.get(), ..self })
    }

    /// Sells reserved items.
    ///
    /// # Errors
    /// [`Unbalanced`].
    pub fn commit(self, quantity: Quantity) -> Result<Self, Unbalanced> {
        let reserved = self.reserved.checked_sub(quantity.get()).ok_or(Unbalanced)?;
        Ok(Self { reserved, sold: self.sold + quantity.get(), ..self })
    }

    /// Makes reserved items available again.
    ///
    /// # Errors
    /// [`Unbalanced`].
    pub fn release(self, quantity: Quantity) -> Result<Self, Unbalanced> {
        let reserved = self.reserved.checked_sub(quantity.get()).ok_or(Unbalanced)?;
        Ok(Self { reserved, available: self.available + quantity.get(), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_items_are_sold_or_put_back() {
        let three = Quantity::new(3).unwrap();
        let stock = Stock::new(5).unwrap();
        let held = stock.reserve(three).unwrap();
        assert_eq!((held.available(), held.reserved(), held.sold()), (2, 3, 0));
        let sold = held.commit(three).unwrap();
        assert_eq!((sold.available(), sold.reserved(), sold.sold()), (2, 0, 3));
        assert_eq!(held.release(three), Ok(stock));
    }

    #[test]
    fn no_count_becomes_negative() {
        let two = Quantity::new(2).unwrap();
        let stock = Stock::new(1).unwrap();
        assert_eq!(stock.reserve(two), None);
        assert_eq!(stock.commit(two), Err(Unbalanced));
        assert_eq!(stock.release(two), Err(Unbalanced));
    }

    #[test]
    fn a_stock_above_the_maximum_is_refused() {
        assert!(Stock::new(MAX_STOCK).is_ok());
        assert_eq!(Stock::new(MAX_STOCK + 1), Err(StockError));
        assert_eq!(Stock::stored(MAX_STOCK, 1, 0), Err(StockError));
    }
}
