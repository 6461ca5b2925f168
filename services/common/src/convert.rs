//! Values of the contract and of the domains.

use gantry_contract::Violations;
use gantry_money::{Money, MoneyError};
use gantry_proto::google::r#type as google;
use prost_types::Timestamp;
use time::OffsetDateTime;

/// Converts a time to the contract's form.
pub fn timestamp(time: OffsetDateTime) -> Timestamp {
    // Nanoseconds of a second are less than 2³¹.
    Timestamp { seconds: time.unix_timestamp(), nanos: time.nanosecond().cast_signed() }
}

/// Converts an amount to the contract's form.
pub fn amount(money: Money) -> google::Money {
    let (units, nanos) = money.to_units_nanos();
    google::Money { currency_code: money.currency().code().to_owned(), units, nanos }
}

/// Reads the amount in the request's field `field`.
///
/// # Errors
/// A violation of the part of `field` that is wrong. It never holds what was sent.
pub fn money(field: &str, money: &google::Money) -> Result<Money, Violations> {
    Money::from_units_nanos(&money.currency_code, money.units, money.nanos).map_err(|error| {
        match error {
            // The error names what was sent.
            MoneyError::UnknownCurrency(_) => Violations::one(
                format_args!("{field}.currency_code"),
                "must be an ISO 4217 currency",
            ),
            MoneyError::TooFine { .. } | MoneyError::NanosOutOfRange => {
                Violations::one(format_args!("{field}.nanos"), error)
            }
            MoneyError::Negative
            | MoneyError::SignMismatch
            | MoneyError::TooLarge
            | MoneyError::MalformedAmount
            | MoneyError::MalformedRate
            | MoneyError::CurrencyMismatch { .. } => Violations::one(field, error),
        }
    })
}
