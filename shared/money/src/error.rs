//! Why an amount cannot be.

use crate::Currency;

/// Why an amount cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// ISO 4217 has no such currency, or none that is counted in minor units.
    #[error("{0:?} is not an ISO 4217 currency with a minor unit")]
    UnknownCurrency(String),
    /// The result would be less than nothing.
    #[error("an amount of money must not be negative")]
    Negative,
    /// The result does not fit 64 bits of minor units.
    #[error("the amount is too large")]
    TooLarge,
    /// The amount has digits below the currency's minor unit.
    #[error("{currency} has {} decimal places, the amount has more", currency.exponent())]
    TooFine {
        /// The amount's currency.
        currency: Currency,
    },
    /// Nanos are a fraction of one unit.
    #[error("nanos must be between -999,999,999 and 999,999,999")]
    NanosOutOfRange,
    /// Units and nanos are parts of one number, so they share its sign.
    #[error("units and nanos must have the same sign")]
    SignMismatch,
    /// Amounts of different currencies do not mix.
    #[error("{left} and {right} cannot be mixed")]
    CurrencyMismatch {
        /// The currency on the left.
        left: Currency,
        /// The currency on the right.
        right: Currency,
    },
}
