//! How often.

use std::time::Duration;

/// The longest a bucket may take to fill.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Calls in a time: the numbers of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// The time that fills one token, in nanoseconds.
    pub(super) interval: u64,
    /// The time that fills all of them.
    pub(super) full: u64,
}

/// A rate that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRate {
    /// Never, or more often than once in a nanosecond.
    #[error("the calls a second must be above 0 and at most 1000000000")]
    PerSecond,
    /// Not even one call.
    #[error("the burst must be at least 1")]
    Burst,
    /// A pause that nobody makes.
    #[error("the burst must be there again within a year")]
    TooSlow,
}

impl Rate {
    /// So many calls a second in the long run, and so many at once after a pause.
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
        // Saturates, and then the product does.
        let interval = (1e9 / per_second) as u64;
        let full = interval.saturating_mul(burst.into());
        if Duration::from_nanos(full) > LONGEST {
            return Err(InvalidRate::TooSlow);
        }
        Ok(Self { interval, full })
    }
}
