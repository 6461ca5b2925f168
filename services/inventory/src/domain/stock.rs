//! How many there are of a product, and in which hands.

use super::Quantity;

/// The most a product can have, whether it can be reserved, is reserved or is sold.
pub const MAX_STOCK: u32 = 1_000_000_000;

/// How many can be reserved, are reserved, and are sold.
///
/// The three together never change by [`Stock::reserve`], [`Stock::commit`] and
/// [`Stock::release`]: things move between hands, none appears and none is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stock {
    available: u32,
    reserved: u32,
    sold: u32,
}

/// Why counts are not a [`Stock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be between 0 and {MAX_STOCK}")]
pub struct StockError;

/// More was to be committed or released than is reserved: the books are wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("less is reserved than the reservations say")]
pub struct Unbalanced;

impl Stock {
    /// So many that can be reserved.
    ///
    /// # Errors
    /// [`StockError`] for more than [`MAX_STOCK`].
    pub fn new(available: u32) -> Result<Self, StockError> {
        Self::stored(available, 0, 0)
    }

    /// What was kept.
    ///
    /// # Errors
    /// [`StockError`] where it comes to more than [`MAX_STOCK`].
    pub fn stored(available: u32, reserved: u32, sold: u32) -> Result<Self, StockError> {
        let total = u64::from(available) + u64::from(reserved) + u64::from(sold);
        if total > u64::from(MAX_STOCK) {
            return Err(StockError);
        }
        Ok(Self { available, reserved, sold })
    }

    /// How many can be reserved.
    pub fn available(self) -> u32 {
        self.available
    }

    /// How many are reserved, not yet sold.
    pub fn reserved(self) -> u32 {
        self.reserved
    }

    /// How many are sold.
    pub fn sold(self) -> u32 {
        self.sold
    }

    /// Takes some aside; `None` where there are not so many.
    pub fn reserve(self, quantity: Quantity) -> Option<Self> {
        let available = self.available.checked_sub(quantity.get())?;
        // Cannot overflow: the total is at most MAX_STOCK and stays the same.
        Some(Self { available, reserved: self.reserved + quantity.get(), ..self })
    }

    /// Turns what was taken aside into a sale.
    ///
    /// # Errors
    /// [`Unbalanced`].
    pub fn commit(self, quantity: Quantity) -> Result<Self, Unbalanced> {
        let reserved = self.reserved.checked_sub(quantity.get()).ok_or(Unbalanced)?;
        Ok(Self { reserved, sold: self.sold + quantity.get(), ..self })
    }

    /// Puts back what was taken aside.
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
    fn things_move_from_hand_to_hand() {
        let three = Quantity::new(3).unwrap();
        let stock = Stock::new(5).unwrap();
        let held = stock.reserve(three).unwrap();
        assert_eq!((held.available(), held.reserved(), held.sold()), (2, 3, 0));
        let sold = held.commit(three).unwrap();
        assert_eq!((sold.available(), sold.reserved(), sold.sold()), (2, 0, 3));
        assert_eq!(held.release(three), Ok(stock));
    }

    #[test]
    fn no_count_goes_below_nothing() {
        let two = Quantity::new(2).unwrap();
        let stock = Stock::new(1).unwrap();
        assert_eq!(stock.reserve(two), None);
        assert_eq!(stock.commit(two), Err(Unbalanced));
        assert_eq!(stock.release(two), Err(Unbalanced));
    }

    #[test]
    fn there_is_a_most() {
        assert!(Stock::new(MAX_STOCK).is_ok());
        assert_eq!(Stock::new(MAX_STOCK + 1), Err(StockError));
        assert_eq!(Stock::stored(MAX_STOCK, 1, 0), Err(StockError));
    }
}
