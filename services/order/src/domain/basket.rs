//! Items of an order.

use std::fmt;

use gantry_money::{Currency, Money, MoneyError};

/// Stock keeping unit: the catalogue's name of a product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

impl Sku {
    /// Wraps a name, from the catalogue or from a request.
    pub fn new(sku: impl Into<String>) -> Self {
        Self(sku.into())
    }

    /// Returns the name.
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

/// Reason for refusing a basket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasketError {
    /// The basket is empty.
    #[error("an order needs at least one item")]
    Empty,
    /// The quantities of one product add up to more than one line may have.
    #[error("the quantities of {0} add up to more than {max}", max = Quantity::MAX)]
    TooMany(Sku),
}

impl Basket {
    /// Creates a basket. Keeps the order of the items and merges those of the same product.
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

/// Line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: Money,
    total: Money,
}

impl Line {
    /// Creates a line from a product, a quantity and the price of one.
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

    /// Returns the price of one.
    pub fn unit_price(&self) -> Money {
        self.unit_price
    }

    /// Returns the price of the line.
    pub fn total(&self) -> Money {
        self.total
    }
}

/// Lines of an order: at least one, all in one currency, with a sum that can be represented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    subtotal: Money,
}

/// Reason for refusing the lines of an order.
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
    /// The sum cannot be represented.
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

    fn item(sku: &str, quantity: u32) -> (Sku, Quantity) {
        (Sku::new(sku), Quantity::new(quantity).unwrap())
    }

    fn line(sku: &str, quantity: u32, minor: i64, currency: &str) -> Line {
        let (sku, quantity) = item(sku, quantity);
        let unit_price = Money::new(minor, Currency::parse(currency).unwrap()).unwrap();
        Line::new(sku, quantity, unit_price).unwrap()
    }

    #[test]
    fn a_product_named_twice_becomes_one_line() {
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
    fn an_empty_basket_and_no_lines_are_refused() {
        assert_eq!(Basket::new([]), Err(BasketError::Empty));
        assert_eq!(Lines::new(vec![]), Err(LinesError::Empty));
    }

    #[test]
    fn a_quantity_is_one_to_a_million() {
        assert_eq!(Quantity::new(0), None);
        assert_eq!(Quantity::new(1).unwrap().get(), 1);
        assert_eq!(Quantity::new(1_000_000).unwrap().get(), 1_000_000);
        assert_eq!(Quantity::new(1_000_001), None);
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
}
