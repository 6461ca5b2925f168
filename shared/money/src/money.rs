//! Amounts of money and their arithmetic.

use std::{fmt, str::FromStr};

use crate::{Currency, MoneyError};

/// Amount in minor units of one currency, never negative.
///
/// Amounts have no order and no `Default`: both would need a currency.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

impl Money {
    /// Creates an amount of `minor` units: 1999 with EUR is 19.99 EUR.
    ///
    /// # Errors
    /// [`MoneyError::Negative`].
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 {
            return Err(MoneyError::Negative);
        }
        Ok(Self { minor, currency })
    }

    /// Returns an amount of zero.
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Converts the fields of a `google.type.Money`: whole units and nanos (10⁻⁹ units).
    ///
    /// # Errors
    /// Any [`MoneyError`] but [`MoneyError::CurrencyMismatch`]. Rules are checked in this order:
    /// currency, range of the nanos, signs, negative, too fine, too large.
    pub fn from_units_nanos(currency: &str, units: i64, nanos: i32) -> Result<Self, MoneyError> {
        let currency = Currency::parse(currency)?;
        let nanos = i64::from(nanos);
        if nanos.abs() > 999_999_999 {
            return Err(MoneyError::NanosOutOfRange);
        }
        if units.signum() * nanos.signum() < 0 {
            return Err(MoneyError::SignMismatch);
        }
        if units < 0 || nanos < 0 {
            return Err(MoneyError::Negative);
        }
        if nanos % currency.nanos_per_minor() != 0 {
            return Err(MoneyError::TooFine { currency });
        }
        let minor = units
            .checked_mul(currency.minor_per_unit())
            .and_then(|minor| minor.checked_add(nanos / currency.nanos_per_minor()))
            .ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, currency })
    }

    /// Returns the units and nanos of a `google.type.Money`.
    pub fn to_units_nanos(self) -> (i64, i32) {
        let units = self.minor / self.currency.minor_per_unit();
        let nanos = self.minor % self.currency.minor_per_unit() * self.currency.nanos_per_minor();
        // Nanos are less than one unit, so less than 10⁹: they fit an i32.
        (units, nanos as i32)
    }

    /// Returns the number of minor units, never negative.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// Returns the currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Returns true if the amount is zero.
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// Adds two amounts.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`], [`MoneyError::TooLarge`].
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }

    /// Subtracts `other`.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMismatch`]; [`MoneyError::Negative`] if `other` is larger.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        // Both are at least 0, so the difference cannot overflow.
        Self::new(self.minor - other.minor, self.currency)
    }

    /// Multiplies the amount: the price of a line from that of one item.
    ///
    /// # Errors
    /// [`MoneyError::TooLarge`].
    pub fn times(self, quantity: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(quantity)).ok_or(MoneyError::TooLarge)?;
        Ok(Self { minor, ..self })
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }
}

/// Formats the amount for people: `19.99 EUR`, `500 JPY`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (
            self.minor / self.currency.minor_per_unit(),
            self.minor % self.currency.minor_per_unit(),
        );
        match usize::from(self.currency.exponent()) {
            0 => write!(f, "{whole} {}", self.currency),
            places => write!(f, "{whole}.{rest:0places$} {}", self.currency),
        }
    }
}

/// Parses the form of [`Display`](fmt::Display). Missing decimal places are zeros: `100 EUR`.
impl FromStr for Money {
    type Err = MoneyError;

    /// # Errors
    /// [`MoneyError::MalformedAmount`], also for a sign; [`MoneyError::UnknownCurrency`],
    /// [`MoneyError::TooFine`], [`MoneyError::TooLarge`].
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (number, code) = text.split_once(' ').ok_or(MoneyError::MalformedAmount)?;
        let (units, decimals) = decimal(number).ok_or(MoneyError::MalformedAmount)?;
        let currency = Currency::parse(code)?;
        let places = usize::from(currency.exponent());
        if decimals.len() > places {
            return Err(MoneyError::TooFine { currency });
        }
        let minor = format!("{units}{decimals:0<places$}").parse();
        // Only digits: the one possible error is an overflow.
        Self::new(minor.map_err(|_| MoneyError::TooLarge)?, currency)
    }
}

/// Splits a decimal number without a sign into its digits before and after the point. Returns None
/// if the text is not such a number.
pub(crate) fn decimal(text: &str) -> Option<(&str, &str)> {
    let (units, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    (!units.is_empty() && digits(units) && digits(decimals)).then_some((units, decimals))
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
