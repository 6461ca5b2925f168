//! Deadlines: absolute within a process, `grpc-timeout` between processes.
//!
//! A deadline is an instant, not a duration, so the remaining time shrinks as it is passed on. The
//! header holds the time remaining when the request is sent, rounded up: a server must not give up
//! before its caller.
//!
//! [`HttpDeadlineLayer`] ends plain HTTP calls.
//!
//! ```
//! use std::time::Duration;
//! use gantry_resilience::deadline;
//!
//! let header = deadline::encode(Duration::from_millis(1500));
//! assert_eq!(header, "1500000u");
//! assert_eq!(deadline::decode(&header), Ok(Duration::from_millis(1500)));
//! ```

mod http;

use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use tokio::time::Instant;

pub use self::http::{Error, HttpDeadline, HttpDeadlineLayer, Timed};

/// Request header that holds the caller's remaining time.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Longest deadline from now. Longer ones are cut to it.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Instant at which a caller stops waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

/// A `grpc-timeout` that is not 1 to 8 digits and one of `H M S m u n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("grpc-timeout is malformed: expected 1 to 8 digits and one of H, M, S, m, u, n")]
pub struct InvalidTimeout;

impl Deadline {
    /// Creates a deadline at this instant.
    pub fn at(instant: Instant) -> Self {
        Self(instant)
    }

    /// Creates a deadline at `now` plus a duration of at most [`LONGEST`].
    pub fn after(now: Instant, timeout: Duration) -> Self {
        Self(now + timeout.min(LONGEST))
    }

    /// Returns the earlier of two deadlines; the other may be missing.
    #[must_use]
    pub fn earlier(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| self.min(other))
    }

    /// Returns the instant.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Returns the remaining time, or `None` if the deadline has passed.
    pub fn left(self, now: Instant) -> Option<Duration> {
        self.0.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

/// Units of the header, finest first: letter and length in nanoseconds.
const UNITS: [(u8, u64); 6] = [
    (b'n', 1),
    (b'u', 1_000),
    (b'm', 1_000_000),
    (b'S', 1_000_000_000),
    (b'M', 60_000_000_000),
    (b'H', 3_600_000_000_000),
];

/// Largest number of 8 digits.
const MOST: u64 = 99_999_999;

/// Number of significant digits; the rest are zeros.
const SIGNIFICANT: u32 = 4;

/// Encodes the remaining time in the finest unit that can hold it, rounded up by a thousandth at
/// most.
///
/// Calls that start with the same timeout then send the same value, which HPACK sends in one byte,
/// and do not evict other headers from its table. gRPC's C core rounds likewise.
#[expect(clippy::expect_used, reason = "digits and a letter are a header value")]
pub fn encode(left: Duration) -> HeaderValue {
    // A year of nanoseconds fits.
    let nanos = left.min(LONGEST).as_nanos() as u64;
    let step = 10_u64.pow((nanos.max(1).ilog10() + 1).saturating_sub(SIGNIFICANT));
    let nanos = (nanos.div_ceil(step) * step).min(LONGEST.as_nanos() as u64);
    let (unit, length) =
        UNITS.into_iter().find(|(_, length)| nanos.div_ceil(*length) <= MOST).unwrap_or(UNITS[5]);
    let mut text = [0; 9];
    let mut start = text.len() - 1;
    text[start] = unit;
    let mut value = nanos.div_ceil(length);
    loop {
        start -= 1;
        // `value % 10` is a digit. 8 digits suffice: LONGEST is 8,760 hours.
        text[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 || start == 0 {
            break;
        }
    }
    HeaderValue::from_bytes(&text[start..]).expect("digits and a letter")
}

/// Decodes the header.
///
/// # Errors
/// [`InvalidTimeout`] if gRPC does not allow the value.
pub fn decode(header: &HeaderValue) -> Result<Duration, InvalidTimeout> {
    let (unit, digits) = header.as_bytes().split_last().ok_or(InvalidTimeout)?;
    let length = UNITS.iter().find(|(letter, _)| letter == unit).ok_or(InvalidTimeout)?.1;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidTimeout);
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u128::from(digit - b'0'));
    let nanos = value * u128::from(length);
    // Whole seconds of 8 digits of hours fit 64 bits, the remainder fits 32.
    Ok(Duration::new((nanos / 1_000_000_000) as u64, (nanos % 1_000_000_000) as u32))
}
