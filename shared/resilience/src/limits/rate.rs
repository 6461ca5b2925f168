//! Rate of a token bucket.

use std::time::Duration;

/// Maximum time for a bucket to fill.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Parameters of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Time to refill one token, in nanoseconds.
    pub(super) interval: u64,
    /// Time to refill the whole bucket, in nanoseconds.
    pub(super) full: u64,
}

/// Invalid rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// The rate is zero, negative, or above one call per nanosecond.
    #[error("the calls a second must be above 0 and at most 1000000000")]
    PerSecond,
    /// The burst is zero.
    #[error("the burst must be at least 1")]
    Burst,
    /// The bucket takes longer than a year to fill.
    #[error("the burst must refill within a year")]
    TooSlow,
}

impl Rate {
    /// Creates a rate of `per_second` calls per second, with bursts of up to `burst` calls.
    ///
    /// # Errors
    /// [`InvalidRate`]
    pub fn try_new(per_second: f64, burst: u32) -> Result<Self, InvalidRate> {
        if !(per_second > 0.0 && per_second <= 1e9) {
            return Err(InvalidRate::PerSecond);
        }
        if burst == 0 {
            return Err(InvalidRate::Burst);
        }
        // The cast saturates, and so does the product.
        let interval = (1e9 / per_second) as u64;
        let full = interval.saturating_mul(burst.into());
        if Duration::from_nanos(full) > LONGEST {
            return Err(InvalidRate::TooSlow);
        }
        Ok(Self { interval, full })
    }
}
