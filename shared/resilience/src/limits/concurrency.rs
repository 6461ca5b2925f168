//! The numbers of an adaptive concurrency limit.

use std::time::Duration;

/// The most calls at once that a limit may stand at.
const MOST_CALLS: u32 = 100_000;

/// The longest latency that may count as fast.
const LONGEST: Duration = Duration::from_secs(60);

/// The numbers of an adaptive concurrency limit; [`ConcurrencyConfig::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConcurrencyParameters {
    /// Calls at once that are never too many; 64 by default.
    pub min: u32,
    /// The limit at first; 100 by default.
    pub initial: u32,
    /// The highest limit; 1,000 by default.
    pub max: u32,
    /// How many times its baseline a call may take until it counts as slow; 2 by default.
    pub tolerance: f64,
    /// The least a baseline counts as: what takes less than this, times the tolerance, is
    /// never slow. 10 ms by default.
    pub fast: Duration,
}

impl Default for ConcurrencyParameters {
    fn default() -> Self {
        Self { min: 64, initial: 100, max: 1000, tolerance: 2.0, fast: Duration::from_millis(10) }
    }
}

/// Numbers that no limit can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConcurrency {
    /// The limits are not in order, zero or too high.
    #[error("min, initial and max must be 1 to {MOST_CALLS}, in this order")]
    Order,
    /// Below it everything would be slow.
    #[error("tolerance must be 1.1 to 100")]
    Tolerance,
    /// Nothing would be fast, or everything.
    #[error("fast must be longer than 0 s and at most a minute")]
    Fast,
}

/// The numbers of an adaptive concurrency limit, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ConcurrencyConfig(ConcurrencyParameters);

impl ConcurrencyConfig {
    /// Checks the numbers.
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

    /// The numbers.
    pub fn parameters(&self) -> &ConcurrencyParameters {
        &self.0
    }
}
