//! Amounts of money with checked arithmetic.
//!
//! [`Money`] is a currency and a whole number of its minor units (cents, yen, fils). Rules:
//! - An amount is never negative. An operation that would make it so is an error.
//! - Currencies never mix. Adding two of them is an error; there is no conversion.
//! - Nothing overflows or rounds silently. Only [`Rate::of`] rounds, half to even, so that the errors
//!   of many lines cancel out.
//!
//! [`Money`] parses and formats as `19.99 EUR`, [`Rate`] as `7.25` (per cent).
//!
//! ```
//! use gantry_money::{Currency, Money, Rate};
//!
//! let price = Money::from_units_nanos("EUR", 19, 990_000_000)?;
//! let line = price.times(3)?;
//! assert_eq!(line, Money::new(5997, Currency::parse("EUR")?)?);
//! assert_eq!(line.to_string(), "59.97 EUR");
//! let discount: Rate = "10".parse()?;
//! assert_eq!(line.minus(discount.of(line))?.to_string(), "53.97 EUR");
//! assert_eq!("59.97 EUR".parse(), Ok(line));
//! # Ok::<(), gantry_money::MoneyError>(())
//! ```

mod currency;
mod error;
mod money;
mod rate;

pub use currency::Currency;
pub use error::MoneyError;
pub use money::Money;
pub use rate::Rate;
