//! Rates: discounts, taxes.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Money, MoneyError, money::decimal};

/// Hundredths of a per cent in the whole.
const WHOLE: u32 = 10_000;

/// Rate from 0 to 100 %, exact to a hundredth of a per cent.
///
/// In settings it is a number: the percentage, with at most two decimal places.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(u32);

impl Rate {
    /// A rate of zero.
    pub const ZERO: Self = Self(0);

    /// Creates a rate from hundredths of a per cent: 725 is 7.25 %. Returns None above 10,000.
    pub const fn from_basis_points(basis_points: u32) -> Option<Self> {
        if basis_points <= WHOLE { Some(Self(basis_points)) } else { None }
    }

    /// Returns this share of `amount`, rounded half to even.
    pub fn of(self, amount: Money) -> Money {
        let whole = i128::from(WHOLE);
        let exact = i128::from(amount.minor) * i128::from(self.0);
        let (floor, rest) = (exact / whole, exact % whole);
        let up = rest * 2 > whole || (rest * 2 == whole && floor % 2 == 1);
        // A rate is at most the whole, so the share is at most the amount, an i64.
        Money { minor: (floor + i128::from(up)) as i64, ..amount }
    }
}

/// Formats the percentage: `7.25`, `19`.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(*self))
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} %")
    }
}

/// Parses a percentage: `7.25`, `19`.
impl FromStr for Rate {
    type Err = MoneyError;

    /// # Errors
    /// [`MoneyError::MalformedRate`].
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let basis_points = decimal(text)
            .filter(|(_, decimals)| decimals.len() <= 2)
            .and_then(|(units, decimals)| format!("{units}{decimals:0<2}").parse().ok());
        basis_points.and_then(Self::from_basis_points).ok_or(MoneyError::MalformedRate)
    }
}

impl TryFrom<f64> for Rate {
    type Error = MoneyError;

    fn try_from(percent: f64) -> Result<Self, MoneyError> {
        // The shortest decimal number that is this f64: exactly the number that was written.
        percent.to_string().parse()
    }
}

impl From<Rate> for f64 {
    fn from(rate: Rate) -> Self {
        Self::from(rate.0) / 100.0
    }
}
