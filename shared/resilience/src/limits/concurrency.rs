//! Parameters of the adaptive concurrency limit.

use std::time::Duration;

/// Upper bound of the parameters that are limits.
const MOST_CALLS: u32 = 100_000;

/// Upper bound of `fast`.
const LONGEST: Duration = Duration::from_secs(60);

/// Parameters of the adaptive concurrency limit, validated by [`ConcurrencyConfig::try_new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConcurrencyParameters {
    /// Lowest limit: so many calls at once are always accepted. Default 64.
    pub min: u32,
    /// Initial limit. Default 100.
    pub initial: u32,
    /// Highest limit. Default 1,000.
    pub max: u32,
    /// Factor of the baseline beyond which a call counts as slow. Default 2.
    pub tolerance: f64,
    /// Lower bound of a baseline: a latency below it, times the tolerance, is never slow. Default
    /// 10 ms.
    pub fast: Duration,
}

impl Default for ConcurrencyParameters {
    fn default() -> Self {
        Self { min: 64, initial: 100, max: 1000, tolerance: 2.0, fast: Duration::from_millis(10) }
    }
}

/// Invalid parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConcurrency {
    /// The limits are unordered, zero or too high.
    #[error("min, initial and max must be 1 to {MOST_CALLS}, in this order")]
    Order,
    /// The tolerance is out of range: too low, and every call would be slow.
    #[error("tolerance must be 1.1 to 100")]
    Tolerance,
    /// `fast` is out of range: no call would be fast, or every call.
    #[error("fast must be longer than 0 s and at most a minute")]
    Fast,
}

/// Validated parameters of the adaptive concurrency limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConcurrencyConfig(ConcurrencyParameters);

impl ConcurrencyConfig {
    /// Validates the parameters.
    ///
    /// # Errors
    /// The first [`InvalidConcurrency`] found.
    pub fn try_new(parameters: ConcurrencyParameters) -> Result<Self, InvalidConcurrency> {
        let ConcurrencyParameters { min, initial, max, tolerance, fast } = parameters;
        if !(1 <= min && min <= initial && initial <= max && max <= MOST_CALLS) {
            return Err(InvalidConcurrency::Order);
        }
        if !(1.1..=100.0).contains(&tolerance) {
            return Err(InvalidConcurrency::Tolerance);
        }
        if fast.is_zero() || fast > LONGEST {
            return Err(InvalidConcurrency::Fast);
        }
        Ok(Self(parameters))
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &ConcurrencyParameters {
        &self.0
    }
}
