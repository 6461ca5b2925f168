//! What holds for methods instead of what the contract says.

use std::time::Duration;

use gantry_contract::RetryPolicy;
use gantry_resilience::retry::{InvalidPolicy, Policy};
use serde::Deserialize;

use super::InvalidSetting;

/// What holds for a method, or all methods of a gRPC service, instead of the contract's
/// policy; what is not given stays as it is. Whether a method may be executed twice is
/// the contract's alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MethodSettings {
    /// The longest a call may take; a stream's longest silence.
    #[serde(with = "humantime_serde")]
    pub timeout: Option<Duration>,
    /// The attempts of a call that may be repeated: 1 to 5, the first included.
    pub max_attempts: Option<u32>,
    /// The wait before the second attempt, before jitter.
    #[serde(with = "humantime_serde")]
    pub initial_backoff: Option<Duration>,
    /// The longest wait between attempts, before jitter.
    #[serde(with = "humantime_serde")]
    pub max_backoff: Option<Duration>,
    /// The factor between one wait and the next.
    pub backoff_multiplier: Option<f64>,
}

impl MethodSettings {
    /// Checks what can be without a contract.
    pub(super) fn check(&self, name: &str) -> Result<(), InvalidSetting> {
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(wrong(name, "timeout", "must be longer than 0"));
        }
        if self.max_attempts.is_some_and(|most| !(1..=Policy::MOST_ATTEMPTS).contains(&most)) {
            return Err(wrong(name, "max_attempts", InvalidPolicy::Attempts));
        }
        Ok(())
    }

    /// Whether it says anything of retries.
    pub(crate) fn retries(&self) -> bool {
        let Self { timeout: _, max_attempts, initial_backoff, max_backoff, backoff_multiplier } =
            self;
        max_attempts.is_some()
            || initial_backoff.is_some()
            || max_backoff.is_some()
            || backoff_multiplier.is_some()
    }

    /// Changes the policy to what is said here.
    pub(crate) fn change(&self, policy: &mut RetryPolicy) {
        policy.max_attempts = self.max_attempts.unwrap_or(policy.max_attempts);
        policy.initial_backoff = self.initial_backoff.unwrap_or(policy.initial_backoff);
        policy.max_backoff = self.max_backoff.unwrap_or(policy.max_backoff);
        policy.backoff_multiplier = self.backoff_multiplier.unwrap_or(policy.backoff_multiplier);
    }
}

fn wrong(name: &str, key: &str, why: impl ToString) -> InvalidSetting {
    InvalidSetting::new(format!("methods.{name:?}.{key}"), why)
}
