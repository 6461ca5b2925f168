//! Overrides of the contract's policies by method.

use std::time::Duration;

use derive_setters::Setters;
use gantry_contract::{HedgingPolicy, Repeats, RetryPolicy};
use gantry_resilience::retry::{self, InvalidPolicy, Policy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// Default number of attempts of a hedged call.
const HEDGED_ATTEMPTS: u32 = 2;

/// Overrides of the contract's policy for a method, or for all methods of a gRPC service. A missing
/// key changes nothing. The contract alone decides if a method may be executed twice.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct MethodSettings {
    /// Timeout of a call; for a stream, its idle timeout.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Maximum number of attempts of a call that may be repeated, the first included: 1 to 5.
    pub max_attempts: Option<u32>,
    /// Wait before the second attempt, before jitter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub initial_backoff: Option<Duration>,
    /// Longest wait between attempts, before jitter.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub max_backoff: Option<Duration>,
    /// Factor between one wait and the next.
    pub backoff_multiplier: Option<f64>,
    /// Hedging instead of retries: further attempts while none has a response.
    pub hedging: Option<HedgingSettings>,
}

/// Hedging of a method. A missing key keeps the contract's value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct HedgingSettings {
    /// Maximum number of attempts, the first included: 2 to 5. Default, if the contract does not hedge: 2.
    pub max_attempts: Option<u32>,
    /// Time between one attempt and the next. Required if the contract does not hedge.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub delay: Option<Duration>,
}

impl MethodSettings {
    /// Returns the problems that need no contract to be found.
    pub(super) fn problems(&self, name: &str) -> Vec<InvalidSetting> {
        let mut problems = Vec::new();
        if self.timeout.is_some_and(|timeout| timeout.is_zero()) {
            problems.push(wrong(name, "timeout", "must be longer than 0"));
        }
        if self.max_attempts.is_some_and(|most| !(1..=Policy::MOST_ATTEMPTS).contains(&most)) {
            problems.push(wrong(name, "max_attempts", InvalidPolicy::Attempts));
        }
        let Some(hedging) = &self.hedging else { return problems };
        if self.retries() {
            problems.push(wrong(name, "hedging", "a method is retried or hedged, not both"));
        }
        let (attempts, delay) = (hedging.max_attempts.unwrap_or(HEDGED_ATTEMPTS), hedging.delay);
        if let Err(invalid) = retry::HedgingPolicy::try_new(attempts, delay.unwrap_or_default()) {
            problems.push(wrong(name, "hedging.max_attempts", invalid));
        }
        problems
    }

    /// Returns true if it changes retries.
    pub(crate) fn retries(&self) -> bool {
        let Self { max_attempts, initial_backoff, max_backoff, backoff_multiplier, .. } = self;
        max_attempts.is_some()
            || initial_backoff.is_some()
            || max_backoff.is_some()
            || backoff_multiplier.is_some()
    }

    /// Applies the overrides to the policy of a method. If retries and hedging conflict, the
    /// override prevails. Non-repeatable methods are never retried, regardless of the numbers.
    ///
    /// # Errors
    /// The override hedges the method without a delay.
    pub(crate) fn change(&self, name: &str, repeats: &mut Repeats) -> Result<(), InvalidSetting> {
        if let Some(hedging) = &self.hedging {
            let (most, delay) = match *repeats {
                Repeats::Hedging(said) => (said.max_attempts, Some(said.delay)),
                Repeats::Never | Repeats::Retry(_) => (HEDGED_ATTEMPTS, None),
            };
            let max_attempts = hedging.max_attempts.unwrap_or(most);
            let delay = hedging.delay.or(delay);
            let delay = delay.ok_or_else(|| wrong(name, "hedging.delay", "must be given"))?;
            *repeats = Repeats::Hedging(HedgingPolicy { max_attempts, delay });
        }
        if self.retries() {
            let said = match *repeats {
                Repeats::Retry(said) => said,
                Repeats::Never => RetryPolicy { max_attempts: 1, ..RetryPolicy::DEFAULT },
                Repeats::Hedging(_) => RetryPolicy::DEFAULT,
            };
            *repeats = Repeats::Retry(RetryPolicy {
                max_attempts: self.max_attempts.unwrap_or(said.max_attempts),
                initial_backoff: self.initial_backoff.unwrap_or(said.initial_backoff),
                max_backoff: self.max_backoff.unwrap_or(said.max_backoff),
                backoff_multiplier: self.backoff_multiplier.unwrap_or(said.backoff_multiplier),
            });
        }
        Ok(())
    }
}

fn wrong(name: &str, key: &str, why: impl ToString) -> InvalidSetting {
    InvalidSetting::new(format!("methods.{name:?}.{key}"), why)
}
