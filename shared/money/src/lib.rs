//! Amounts of money with checked arithmetic.
//!
//! [`Money`] is a currency and a whole number of its minor units (cents, yen, fils). Rules:
//! - An amount is never negative. An operation that would make it so is an error.
//! - Currencies never mix. Adding two of them is an error; there is no conversion.
//! - Nothing overflows or rounds silently. Only [`Money::basis_points`] rounds, half to even, so that
//!   the errors of many lines cancel out.
//!
//! ```
//! use gantry_money::{Currency, Money};
//!
//! let price = Money::from_units_nanos("EUR", 19, 990_000_000)?;
//! let line = price.times(3)?;
//! assert_eq!(line, Money::new(5997, Currency::parse("EUR")?)?);
//! assert_eq!(line.to_string(), "59.97 EUR");
//! assert_eq!(line.minus(line.basis_points(1_000)?)?.to_string(), "53.97 EUR");
//! # Ok::<(), gantry_money::MoneyError>(())
//! ```

mod currency;
mod error;
mod money;

pub use currency::Currency;
pub use error::MoneyError;
pub use money::Money;
