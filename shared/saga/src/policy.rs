//! How long, how often, how many.

use std::{
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// How sagas are driven. In a settings file (these are the defaults):
///
/// ```toml
/// [saga]
/// attempt_timeout = "5s"
/// step_deadline = "15s"
/// retry_initial = "100ms"
/// retry_max = "2s"
/// pause_initial = "1s"
/// pause_max = "1m"
/// patience = 100
/// poll = "1s"
/// concurrency = 64
/// jitter = 0.2
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// How long one attempt at a step, or at undoing it, may take.
    #[serde(with = "humantime_serde")]
    pub attempt_timeout: Duration,
    /// How long a step is attempted until it counts as unanswered. Its undo has as
    /// long again: this is one round.
    #[serde(with = "humantime_serde")]
    pub step_deadline: Duration,
    /// The wait between the first attempts of a round; it doubles.
    #[serde(with = "humantime_serde")]
    pub retry_initial: Duration,
    /// The longest wait between two attempts of a round.
    #[serde(with = "humantime_serde")]
    pub retry_max: Duration,
    /// The pause after the first round without an answer, of what must not be given
    /// up; it doubles.
    #[serde(with = "humantime_serde")]
    pub pause_initial: Duration,
    /// The longest pause between two rounds.
    #[serde(with = "humantime_serde")]
    pub pause_max: Duration,
    /// How many rounds there are before the saga is parked.
    pub patience: NonZeroU32,
    /// How often the log is asked for sagas that nobody drives.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// How many sagas are driven at a time.
    pub concurrency: NonZeroUsize,
    /// By which part of it a wait may be longer or shorter: 0 to 1.
    pub jitter: f64,
}

/// A policy that cannot work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}")]
pub struct PolicyError {
    /// The field.
    pub key: &'static str,
    /// What it should be.
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
            patience: NonZeroU32::MIN.saturating_add(99),
            poll: Duration::from_secs(1),
            concurrency: NonZeroUsize::MIN.saturating_add(63),
            jitter: 0.2,
        }
    }
}

impl Policy {
    /// Everything that is wrong with it.
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
        ]
        .into_iter()
        .filter(|(_, right, _)| !right)
        .map(|(key, _, expected)| PolicyError { key, expected })
        .collect()
    }

    /// How long a lease holds from each write to the log on. Between two writes lies
    /// one attempt or one wait; twice both leaves room for a slow log.
    pub(crate) fn lease(&self) -> Duration {
        (self.attempt_timeout + self.retry_max) * 2 + Duration::from_secs(5)
    }

    /// The wait after this many attempts of a round.
    pub(crate) fn retry(&self, attempts: u32) -> Duration {
        self.wait(self.retry_initial, self.retry_max, attempts)
    }

    /// The pause after this many rounds.
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
    fn the_default_is_right() {
        assert_eq!(Policy::default().problems(), []);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let wrong = Policy {
            attempt_timeout: Duration::ZERO,
            step_deadline: Duration::ZERO,
            retry_initial: Duration::ZERO,
            retry_max: Duration::ZERO,
            pause_initial: Duration::ZERO,
            pause_max: Duration::ZERO,
            poll: Duration::ZERO,
            jitter: f64::NAN,
            ..Policy::default()
        };
        assert_eq!(wrong.problems().len(), 8);
    }

    #[test]
    fn waits_double_up_to_their_maximum() {
        let policy = Policy { jitter: 0.0, ..Policy::default() };
        let waits: Vec<_> = (1..=6).map(|n| policy.retry(n).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 2000]);
        assert_eq!(policy.pause(u32::MAX), policy.pause_max);
    }

    #[test]
    fn jitter_stays_within_its_part() {
        let policy = Policy::default();
        for _ in 0..1000 {
            let wait = policy.retry(1).as_millis();
            assert!((80..=120).contains(&wait), "{wait}");
        }
    }
}
