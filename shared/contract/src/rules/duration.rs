//! Durations, made comparable so that the rules of numbers apply to them.

use std::fmt;

use crate::{FieldPath, Violations};

const NANOS: i128 = 1_000_000_000;
/// The longest duration that `google.protobuf.Duration` allows: 10,000 years.
const MAX_SECONDS: i64 = 315_576_000_000;

/// A length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i128);

impl Span {
    /// So many seconds and nanoseconds, which have the same sign.
    pub const fn new(seconds: i64, nanos: i32) -> Self {
        Self(seconds as i128 * NANOS + nanos as i128)
    }

    /// The duration of a request; a violation and nothing where it is none.
    pub fn read(
        value: &prost_types::Duration,
        at: &FieldPath<'_>,
        out: &mut Violations,
    ) -> Option<Self> {
        let prost_types::Duration { seconds, nanos } = *value;
        let in_range =
            seconds.abs_diff(0) <= MAX_SECONDS.abs_diff(0) && i128::from(nanos).abs() < NANOS;
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

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (seconds, nanos) = (self.0.abs() / NANOS, self.0.abs() % NANOS);
        if nanos == 0 {
            return write!(f, "{sign}{seconds} s");
        }
        let decimals = format!("{nanos:09}");
        write!(f, "{sign}{seconds}.{} s", decimals.trim_end_matches('0'))
    }
}
