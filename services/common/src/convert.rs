//! Conversion of values between the contract and the domains.

use gantry_contract::{Violations, page::PageRequest};
use gantry_money::{Money, MoneyError};
use gantry_proto::google::r#type as google;
use prost_types::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

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

/// Parses the amount in the field `field` of a request.
///
/// # Errors
/// A violation of the invalid part of `field`. It does not contain the value.
pub fn money(field: &str, money: &google::Money) -> Result<Money, Violations> {
    Money::from_units_nanos(&money.currency_code, money.units, money.nanos).map_err(|error| {
        match error {
            // This error contains the value.
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

/// Checks the page of a list that is sorted by id: it begins after an id, or is the first one.
///
/// # Errors
/// A violation of `page_token` if the token holds something other than an id.
pub fn page_by_id(page: PageRequest) -> Result<PageRequest, Violations> {
    match page.after.as_deref().map(Uuid::parse_str) {
        None | Some(Ok(_)) => Ok(page),
        Some(Err(_)) => Err(Violations::one(
            "page_token",
            "must be a next_page_token of an earlier response of this list",
        )),
    }
}
