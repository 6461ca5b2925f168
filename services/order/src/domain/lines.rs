//! Lines of an order: products, quantities and prices.

use gantry_money::{Currency, Money, MoneyError};

use super::{Quantity, Sku};

/// Line of an order: a product, its quantity and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: Money,
    total: Money,
}

impl Line {
    /// Creates a line from a product, its quantity and its unit price.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`].
    pub fn new(sku: Sku, quantity: Quantity, unit_price: Money) -> Result<Self, LinesError> {
        // Multiplying fails only if the result is too large.
        let total = unit_price.times(quantity.get()).map_err(|_| LinesError::TooLarge)?;
        Ok(Self { sku, quantity, unit_price, total })
    }

    /// Returns the product.
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    /// Returns the quantity.
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// Returns the unit price.
    pub fn unit_price(&self) -> Money {
        self.unit_price
    }

    /// Returns the quantity times the unit price.
    pub fn total(&self) -> Money {
        self.total
    }
}

/// Lines of an order: at least one, in one currency, with a sum that fits into [`Money`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    subtotal: Money,
}

/// Violation of a rule of an order's lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// There are no lines.
    #[error("an order needs at least one line")]
    Empty,
    /// The products have different currencies.
    #[error("{one} and {other} cannot be ordered together")]
    Currencies {
        /// Currency of the first line.
        one: Currency,
        /// Currency of a later line.
        other: Currency,
    },
    /// The sum does not fit into [`Money`].
    #[error("the amount is too large")]
    TooLarge,
}

impl Lines {
    /// Creates the lines of an order.
    ///
    /// # Errors
    /// [`LinesError`].
    pub fn new(lines: Vec<Line>) -> Result<Self, LinesError> {
        let first = lines.first().ok_or(LinesError::Empty)?;
        let subtotal = lines
            .iter()
            .try_fold(Money::zero(first.unit_price.currency()), |sum, line| sum.plus(line.total))
            .map_err(|error| match error {
                MoneyError::CurrencyMismatch { left: one, right: other } => {
                    LinesError::Currencies { one, other }
                }
                // Adding amounts of one currency fails only if the sum is too large.
                _ => LinesError::TooLarge,
            })?;
        Ok(Self { lines, subtotal })
    }

    /// Returns the sum of the lines.
    pub fn subtotal(&self) -> Money {
        self.subtotal
    }

    /// Returns the lines in order.
    pub fn iter(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str, quantity: u32, minor: i64, currency: &str) -> Line {
        let (sku, quantity) = (Sku::new(sku), Quantity::new(quantity).unwrap());
        let unit_price = Money::new(minor, Currency::parse(currency).unwrap()).unwrap();
        Line::new(sku, quantity, unit_price).unwrap()
    }

    #[test]
    fn the_subtotal_is_the_sum_of_the_lines() {
        let lines = Lines::new(vec![line("a", 3, 999, "EUR"), line("b", 1, 1, "EUR")]).unwrap();
        assert_eq!(lines.subtotal().to_string(), "29.98 EUR");
    }

    #[test]
    fn currencies_are_not_mixed() {
        let mixed = Lines::new(vec![line("a", 1, 1, "EUR"), line("b", 1, 1, "USD")]);
        assert!(matches!(mixed, Err(LinesError::Currencies { .. })));
    }

    #[test]
    fn a_sum_that_does_not_fit_is_refused() {
        let huge = line("a", 1, i64::MAX, "EUR");
        let two = Quantity::new(2).unwrap();
        assert_eq!(Line::new(Sku::new("a"), two, huge.unit_price()), Err(LinesError::TooLarge));
        let lines = Lines::new(vec![huge, line("b", 1, 1, "EUR")]);
        assert_eq!(lines, Err(LinesError::TooLarge));
    }

    #[test]
    fn an_order_has_at_least_one_line() {
        assert_eq!(Lines::new(vec![]), Err(LinesError::Empty));
    }
}
