//! Comparable durations and timestamps.

use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::{Duration, Timestamp};

use crate::{FieldPath, Violations};

const NANOS: i128 = 1_000_000_000;
/// Maximum of a `google.protobuf.Duration`: 10,000 years, in seconds.
const MAX_SECONDS: u64 = 315_576_000_000;
/// Range of a `google.protobuf.Timestamp` in seconds since 1970: 0001-01-01T00:00:00Z to
/// 9999-12-31T23:59:59Z.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i128);

impl Span {
    /// Creates a span from seconds and nanoseconds of the same sign.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self(seconds as i128 * NANOS + nanos as i128)
    }

    /// Reads a duration of a request. Adds a violation and returns None if it is invalid.
    pub fn read(value: &Duration, at: &FieldPath<'_>, out: &mut Violations) -> Option<Self> {
        let Duration { seconds, nanos } = *value;
        let in_range = seconds.unsigned_abs() <= MAX_SECONDS && i128::from(nanos).abs() < NANOS;
        let same_sign = seconds.signum() * i64::from(nanos.signum()) >= 0;
        if in_range && same_sign {
            Some(Self::new(seconds, nanos))
        } else {
            out.push(
                at,
                "must be a duration of at most 10,000 years with seconds and nanos of one sign",
            );
            None
        }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i128);

impl Moment {
    /// Creates a moment from seconds since 1970 and nanoseconds, which always count forwards.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self(seconds as i128 * NANOS + nanos as i128)
    }

    /// Returns the current time, which `timestamp.lt_now`, `gt_now` and `within` compare with.
    ///
    /// The only use of the wall clock in validation. A message is validated while it is decoded, so
    /// no caller can pass a clock. Generated code calls this and passes the value to the
    /// conditions.
    pub fn now() -> Self {
        // A clock before 1970 counts as 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i128::from(since.as_secs()) * NANOS + i128::from(since.subsec_nanos()))
    }

    /// Reads a timestamp of a request. Adds a violation and returns None if it is invalid.
    pub fn read(value: &Timestamp, at: &FieldPath<'_>, out: &mut Violations) -> Option<Self> {
        let Timestamp { seconds, nanos } = *value;
        if TIMESTAMPS.contains(&seconds) && (0..NANOS).contains(&i128::from(nanos)) {
            Some(Self::new(seconds, nanos))
        } else {
            out.push(at, "must be a timestamp between the years 1 and 9999");
            None
        }
    }

    /// Returns true if the moment is at most `span` before or after `now`.
    pub fn is_within(self, span: Span, now: Self) -> bool {
        (self.0 - now.0).abs() <= span.0
    }
}
