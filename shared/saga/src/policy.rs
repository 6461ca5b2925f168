//! Timeouts, backoff and limits of the engine.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Timeouts, backoff and limits for driving sagas. Defaults, as in a settings file:
///
/// ```toml
/// [saga]
/// attempt_timeout = "5s"
/// step_deadline = "15s"
/// retry_initial = "100ms"
/// retry_max = "2s"
/// pause_initial = "1s"
/// pause_max = "1m"
/// max_rounds = 100
/// poll = "1s"
/// concurrency = 64
/// jitter = 0.2
/// keep_ended = "30d"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Timeout of one attempt at a step or at undoing it.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub attempt_timeout: Duration,
    /// Deadline of one round of attempts at a step. A step without an answer by then counts as
    /// unanswered. Its undo has the same time again.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub step_deadline: Duration,
    /// Wait after the first attempt of a round. Doubles with each attempt.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_initial: Duration,
    /// Longest wait between two attempts of a round.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_max: Duration,
    /// Pause after the first unanswered round of a step or undo that must be repeated. Doubles with
    /// each round.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub pause_initial: Duration,
    /// Longest pause between two rounds.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub pause_max: Duration,
    /// Number of unanswered rounds after which the saga is parked.
    pub max_rounds: NonZeroU32,
    /// Interval at which the log is polled for sagas without a lease.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// Maximum number of sagas driven at the same time.
    pub concurrency: NonZeroUsize,
    /// Random deviation of each wait, as a fraction of it: 0 to 1.
    pub jitter: f64,
    /// Time after which a completed or undone saga is deleted.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub keep_ended: Duration,
}

/// An invalid field of a [`Policy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}")]
pub struct PolicyError {
    /// Name of the field.
    pub key: &'static str,
    /// Description of valid values.
    pub expected: &'static str,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(5),
            step_deadline: Duration::from_secs(15),
            retry_initial: Duration::from_millis(100),
            retry_max: Duration::from_secs(2),
            pause_initial: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            max_rounds: NonZeroU32::MIN.saturating_add(99),
            poll: Duration::from_secs(1),
            concurrency: NonZeroUsize::MIN.saturating_add(63),
            jitter: 0.2,
            keep_ended: Duration::from_secs(30 * 24 * 60 * 60),
        }
    }
}

impl Policy {
    /// Returns every invalid field.
    pub fn problems(&self) -> Vec<PolicyError> {
        let at_least = |value: Duration, least: Duration| value >= least && !value.is_zero();
        let none = Duration::ZERO;
        [
            ("attempt_timeout", at_least(self.attempt_timeout, none), "more than 0"),
            (
                "step_deadline",
                at_least(self.step_deadline, self.attempt_timeout),
                "at least attempt_timeout",
            ),
            ("retry_initial", at_least(self.retry_initial, none), "more than 0"),
            ("retry_max", at_least(self.retry_max, self.retry_initial), "at least retry_initial"),
            ("pause_initial", at_least(self.pause_initial, none), "more than 0"),
            ("pause_max", at_least(self.pause_max, self.pause_initial), "at least pause_initial"),
            ("poll", at_least(self.poll, none), "more than 0"),
            ("jitter", (0.0..=1.0).contains(&self.jitter), "0 to 1"),
            ("keep_ended", at_least(self.keep_ended, none), "more than 0"),
        ]
        .into_iter()
        .filter(|(_, right, _)| !right)
        .map(|(key, _, expected)| PolicyError { key, expected })
        .collect()
    }

    /// Returns the duration of a lease, counted from each write to the log. At most one attempt and
    /// one wait lie between two writes; twice their sum leaves room for a slow log.
    pub(crate) fn lease(&self) -> Duration {
        (self.attempt_timeout + self.retry_max) * 2 + Duration::from_secs(5)
    }

    /// Returns the wait after this many attempts of a round.
    pub(crate) fn retry(&self, attempts: u32) -> Duration {
        self.wait(self.retry_initial, self.retry_max, attempts)
    }

    /// Returns the pause after this many rounds.
    pub(crate) fn pause(&self, rounds: u32) -> Duration {
        self.wait(self.pause_initial, self.pause_max, rounds)
    }

    fn wait(&self, initial: Duration, max: Duration, times: u32) -> Duration {
        let factor = 2_u32.saturating_pow(times.saturating_sub(1));
        let wait = initial.saturating_mul(factor).min(max);
        wait.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * (fastrand::f64() * 2.0 - 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Policy::default().problems(), []);
    }

    #[test]
    fn every_invalid_field_is_named() {
        let wrong = Policy {
            attempt_timeout: Duration::ZERO,
            step_deadline: Duration::ZERO,
            retry_initial: Duration::ZERO,
            retry_max: Duration::ZERO,
            pause_initial: Duration::ZERO,
            pause_max: Duration::ZERO,
            poll: Duration::ZERO,
            jitter: f64::NAN,
            keep_ended: Duration::ZERO,
            ..Policy::default()
        };
        assert_eq!(wrong.problems().len(), 9);
    }

    #[test]
    fn waits_double_up_to_their_maximum() {
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        let waits: Vec<_> = (1..=6).map(|n| policy.retry(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(policy.pause(u32::MAX), policy.pause_max);
    }

    #[test]
    fn jitter_stays_within_its_fraction() {
        let policy = Policy::default();
        for _ in 0..1000 {
            let wait = policy.retry(1).as_millis();
            assert!((80..=120).contains(&wait), "{wait}");
        }
    }
}
