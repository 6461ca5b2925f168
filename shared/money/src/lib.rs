//! An amount of money that cannot be wrong silently.
//!
//! [`Money`] is a whole number of a currency's minor units (cents, yen, fils) and
//! that currency. Rules:
//! - an amount is never negative: what would be is an error, not a debt;
//! - two currencies never mix: adding them is an error, there is no conversion;
//! - nothing overflows or rounds in passing. Only [`Money::basis_points`] rounds,
//!   half to even, so that many lines together lean neither way.
//!
//! It is a value: no I/O, no clock, no other crate of ours.
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
