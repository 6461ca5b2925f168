//! Durations and timestamps, made comparable.

use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::{Duration, Timestamp};

use crate::{FieldPath, Violations};

const NANOS: i128 = 1_000_000_000;
/// The longest duration that `google.protobuf.Duration` allows: 10,000 years.
const MAX_SECONDS: u64 = 315_576_000_000;
/// What `google.protobuf.Timestamp` allows: 0001-01-01T00:00:00Z to
/// 9999-12-31T23:59:59.999999999Z.
const TIMESTAMPS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// A length of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i128);

impl Span {
    /// So many seconds and nanoseconds, which have the same sign.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self(seconds as i128 * NANOS + nanos as i128)
    }

    /// The duration of a request; a violation and nothing where it is none.
    pub fn read(value: &Duration, at: &FieldPath<'_>, out: &mut Violations) -> Option<Self> {
        let Duration { seconds, nanos } = *value;
        let in_range = seconds.unsigned_abs() <= MAX_SECONDS && i128::from(nanos).abs() < NANOS;
        let same_sign = seconds.signum() * i64::from(nanos.signum()) >= 0;
        if in_range && same_sign {
            Some(Self::new(seconds, nanos))
        } else {
            out.push(
                at,
                "must be a duration of at most 10,000 years, seconds and nanos of one sign",
            );
            None
        }
    }
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i128);

impl Moment {
    /// So many seconds and nanoseconds after 1970 began; nanoseconds always count
    /// forwards.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self(seconds as i128 * NANOS + nanos as i128)
    }

    /// What `timestamp.lt_now`, `gt_now` and `within` compare with.
    ///
    /// The one look at the wall clock in validation. A message checks itself while
    /// it is decoded, where no caller could pass a clock; so the generated code
    /// reads it, and every condition here takes it as a value.
    pub fn now() -> Self {
        // A clock before 1970 is taken for 1970.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i128::from(since.as_secs()) * NANOS + i128::from(since.subsec_nanos()))
    }

    /// The timestamp of a request; a violation and nothing where it is none.
    pub fn read(value: &Timestamp, at: &FieldPath<'_>, out: &mut Violations) -> Option<Self> {
        let Timestamp { seconds, nanos } = *value;
        if TIMESTAMPS.contains(&seconds) && (0..NANOS).contains(&i128::from(nanos)) {
            Some(Self::new(seconds, nanos))
        } else {
            out.push(at, "must be a timestamp between the years 1 and 9999");
            None
        }
    }

    /// Whether it is at most `span` before or after `now`.
    pub fn is_within(self, span: Span, now: Self) -> bool {
        (self.0 - now.0).abs() <= span.0
    }
}
