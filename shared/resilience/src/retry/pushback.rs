//! What a server says about being asked again.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// The header a gRPC server says in when to come again, in milliseconds.
pub const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// When the peer is willing to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// After exactly this time.
    After(Duration),
    /// Not for this call.
    Stop,
}

impl Pushback {
    /// What gRPC's header says; `None` where it is absent. As A6 has it: a signed 32-bit
    /// number without needless zeros, and negative, malformed or said twice means stop.
    pub fn of_grpc(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(PUSHBACK).iter();
        let value = values.next()?;
        Some(match (whole_number(value.as_bytes()), values.next()) {
            (Some(millis), None) if i32::try_from(millis).is_ok() => {
                Self::After(Duration::from_millis(millis))
            }
            _ => Self::Stop,
        })
    }

    /// What HTTP's `Retry-After` says (RFC 9110, 10.2.3); `None` where it is absent. A
    /// date means stop: how far away it is, only a wall clock could tell.
    pub fn of_http(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(http::header::RETRY_AFTER).iter();
        let value = values.next()?;
        Some(match (whole_number(value.as_bytes()), values.next()) {
            (Some(seconds), None) => Self::After(Duration::from_secs(seconds)),
            _ => Self::Stop,
        })
    }
}

/// At most 10 digits and no leading zero but a lone one.
fn whole_number(digits: &[u8]) -> Option<u64> {
    let needless_zero = digits.len() > 1 && digits.starts_with(b"0");
    if !(1..=10).contains(&digits.len()) || needless_zero || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
