//! What is ordered.

use std::fmt;

use gantry_money::{Currency, Money, MoneyError};

/// A stock keeping unit: the catalogue's name of a product.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sku(String);

impl Sku {
    /// Takes a name as the catalogue has it, or as somebody asks for it.
    pub fn new(sku: impl Into<String>) -> Self {
        Self(sku.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many of a product: 1 to [`Quantity::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

impl Quantity {
    /// As many as one line may have; the stock is reserved within the same bound.
    pub const MAX: u32 = 1_000_000;

    /// A quantity, where there can be that many.
    pub fn new(quantity: u32) -> Option<Self> {
        (1..=Self::MAX).contains(&quantity).then_some(Self(quantity))
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What somebody asks for: each product once, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basket(Vec<(Sku, Quantity)>);

/// Why a basket cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BasketError {
    /// There is nothing in it.
    #[error("nothing is asked for")]
    Empty,
    /// More of a product is asked for, in all, than one line may have.
    #[error("more than {max} of {0} are asked for in all", max = Quantity::MAX)]
    TooMany(Sku),
}

impl Basket {
    /// A basket of these items, in their order; a product named twice counts together.
    ///
    /// # Errors
    /// [`BasketError`].
    pub fn new(items: impl IntoIterator<Item = (Sku, Quantity)>) -> Result<Self, BasketError> {
        let mut basket: Vec<(Sku, Quantity)> = Vec::new();
        for (sku, quantity) in items {
            match basket.iter_mut().find(|(known, _)| *known == sku) {
                Some((_, sum)) => {
                    // Both are at most a million.
                    let more = Quantity::new(sum.get() + quantity.get());
                    *sum = more.ok_or(BasketError::TooMany(sku))?;
                }
                None => basket.push((sku, quantity)),
            }
        }
        if basket.is_empty() { Err(BasketError::Empty) } else { Ok(Self(basket)) }
    }

    /// What is asked for.
    pub fn items(&self) -> &[(Sku, Quantity)] {
        &self.0
    }

    /// The products that are asked for.
    pub fn skus(&self) -> impl Iterator<Item = &Sku> {
        self.0.iter().map(|(sku, _)| sku)
    }
}

/// One line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    sku: Sku,
    quantity: Quantity,
    unit_price: Money,
    total: Money,
}

impl Line {
    /// So many of a product, at so much for one.
    ///
    /// # Errors
    /// [`LinesError::TooLarge`].
    pub fn new(sku: Sku, quantity: Quantity, unit_price: Money) -> Result<Self, LinesError> {
        // Multiplying fails only where the product does not fit.
        let total = unit_price.times(quantity.get()).map_err(|_| LinesError::TooLarge)?;
        Ok(Self { sku, quantity, unit_price, total })
    }

    /// What.
    pub fn sku(&self) -> &Sku {
        &self.sku
    }

    /// How many.
    pub fn quantity(&self) -> Quantity {
        self.quantity
    }

    /// What one costs.
    pub fn unit_price(&self) -> Money {
        self.unit_price
    }

    /// What all of them cost.
    pub fn total(&self) -> Money {
        self.total
    }
}

/// The lines of an order: at least one, all in one currency, and their sum can be
/// represented.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines {
    lines: Vec<Line>,
    subtotal: Money,
}

/// Why lines make no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinesError {
    /// There are none.
    #[error("an order has at least one line")]
    Empty,
    /// The products are sold in different currencies.
    #[error("{one} and {other} cannot be ordered together")]
    Currencies {
        /// The currency of the first line.
        one: Currency,
        /// That of a later one.
        other: Currency,
    },
    /// The sum is too large to represent.
    #[error("the amount is too large")]
    TooLarge,
}

impl Lines {
    /// The lines of an order.
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
                // Nothing is parsed and nothing subtracted, so it is too large.
                _ => LinesError::TooLarge,
            })?;
        Ok(Self { lines, subtotal })
    }

    /// The sum of the lines.
    pub fn subtotal(&self) -> Money {
        self.subtotal
    }

    /// The lines, in their order.
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
    fn a_product_named_twice_becomes_one_line_where_it_stood_first() {
        let basket = Basket::new([item("b", 1), item("a", 2), item("b", 3)]).unwrap();
        assert_eq!(basket.items(), [item("b", 4), item("a", 2)]);
    }

    #[test]
    fn the_bound_holds_for_the_sum_too() {
        let half = Quantity::MAX / 2;
        assert!(Basket::new([item("a", half), item("a", half)]).is_ok());
        let over = Basket::new([item("a", half), item("a", half), item("a", 1)]);
        assert_eq!(over, Err(BasketError::TooMany(Sku::new("a"))));
    }

    #[test]
    fn nothing_is_no_basket_and_no_lines() {
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
