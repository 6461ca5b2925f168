//! Number of attempts and the waits between them.

use std::time::Duration;

use fastrand::Rng;

/// Number of attempts of a call and the waits between them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    max_attempts: u32,
    initial_backoff: Duration,
    max_backoff: Duration,
    multiplier: f64,
}

/// Invalid parameter of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPolicy {
    /// The number of attempts is out of range.
    #[error("attempts must be 1 to 5 (hedged: 2 to 5), the first one included")]
    Attempts,
    /// The initial backoff is zero.
    #[error("the initial backoff must be longer than 0")]
    InitialBackoff,
    /// The maximum backoff is shorter than the initial one.
    #[error("the maximum backoff must not be shorter than the initial one")]
    MaxBackoff,
    /// The multiplier is below 1 or not finite.
    #[error("the backoff multiplier must be finite and at least 1")]
    Multiplier,
}

impl Policy {
    /// 3 attempts with waits of 50 ms, doubling up to 2 s.
    pub const DEFAULT: Self = Self {
        max_attempts: 3,
        initial_backoff: Duration::from_millis(50),
        max_backoff: Duration::from_secs(2),
        multiplier: 2.0,
    };

    /// A single attempt.
    pub const NEVER: Self = Self { max_attempts: 1, ..Self::DEFAULT };

    /// Largest number of attempts, as limited by A6.
    pub const MOST_ATTEMPTS: u32 = 5;

    /// Creates a policy. `max_attempts` includes the first one. The n-th wait is `initial_backoff *
    /// multiplier^(n-1)`, at most `max_backoff`, times a random factor from 0.8 to 1.2.
    ///
    /// # Errors
    /// [`InvalidPolicy`] if a parameter is out of range.
    pub fn try_new(
        max_attempts: u32,
        initial_backoff: Duration,
        max_backoff: Duration,
        multiplier: f64,
    ) -> Result<Self, InvalidPolicy> {
        if !(1..=Self::MOST_ATTEMPTS).contains(&max_attempts) {
            return Err(InvalidPolicy::Attempts);
        }
        if initial_backoff.is_zero() {
            return Err(InvalidPolicy::InitialBackoff);
        }
        if max_backoff < initial_backoff {
            return Err(InvalidPolicy::MaxBackoff);
        }
        if !multiplier.is_finite() || multiplier < 1.0 {
            return Err(InvalidPolicy::Multiplier);
        }
        Ok(Self { max_attempts, initial_backoff, max_backoff, multiplier })
    }

    /// Returns the number of attempts, the first one included.
    pub fn max_attempts(&self) -> u32 {
        self.max_attempts
    }

    /// Returns the next wait after this many others without a pushback between them.
    pub(super) fn backoff(&self, waits: u32, rng: &mut Rng) -> Duration {
        // At most 4 waits precede one. An overflow means the maximum.
        let grown = self.initial_backoff.as_secs_f64() * self.multiplier.powi(waits as i32);
        let jitter = 0.8 + 0.4 * rng.f64();
        let seconds = grown.min(self.max_backoff.as_secs_f64()) * jitter;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::DEFAULT
    }
}
