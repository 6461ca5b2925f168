//! Errors of amounts.

use crate::Currency;

/// Reason for refusing an amount.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// ISO 4217 has no such currency with a minor unit.
    #[error("{0:?} is not an ISO 4217 currency with a minor unit")]
    UnknownCurrency(String),
    /// The result would be negative.
    #[error("an amount of money must not be negative")]
    Negative,
    /// The result exceeds 64 bits of minor units.
    #[error("the amount is too large")]
    TooLarge,
    /// The amount has more decimal places than the currency.
    #[error("{currency} has {} decimal places, the amount has more", currency.exponent())]
    TooFine {
        /// The amount's currency.
        currency: Currency,
    },
    /// The nanos are not a fraction of one unit.
    #[error("nanos must be between -999,999,999 and 999,999,999")]
    NanosOutOfRange,
    /// Units and nanos are parts of one number but have different signs.
    #[error("units and nanos must have the same sign")]
    SignMismatch,
    /// The text is not an amount.
    #[error("expected an amount and its currency, like 100.00 EUR")]
    MalformedAmount,
    /// The text or number is not a rate.
    #[error("expected a percentage: 0 to 100, at most two decimal places")]
    MalformedRate,
    /// The amounts have different currencies.
    #[error("{left} and {right} cannot be mixed")]
    CurrencyMismatch {
        /// The currency on the left.
        left: Currency,
        /// The currency on the right.
        right: Currency,
    },
}
