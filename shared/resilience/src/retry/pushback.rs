//! Pushback: a server's hint about retries.

use std::time::Duration;

use http::{HeaderMap, HeaderName};

/// Header of gRPC servers that holds the wait before a retry, in milliseconds.
pub const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// A server's hint about retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pushback {
    /// Retry after exactly this time.
    After(Duration),
    /// Do not retry this call.
    Stop,
}

impl Pushback {
    /// Parses gRPC's header; `None` if absent. As A6 defines it: a signed 32-bit number without
    /// leading zeros. A negative, malformed or repeated value means stop.
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

    /// Parses HTTP's `Retry-After` (RFC 9110, 10.2.3); `None` if absent. A date means stop: comparing
    /// it would need a wall clock.
    pub fn of_http(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(http::header::RETRY_AFTER).iter();
        let value = values.next()?;
        Some(match (whole_number(value.as_bytes()), values.next()) {
            (Some(seconds), None) => Self::After(Duration::from_secs(seconds)),
            _ => Self::Stop,
        })
    }
}

/// Parses at most 10 digits without a leading zero.
fn whole_number(digits: &[u8]) -> Option<u64> {
    let needless_zero = digits.len() > 1 && digits.starts_with(b"0");
    if !(1..=10).contains(&digits.len()) || needless_zero || !digits.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    Some(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}
