//! Timeouts, backoff and limits of relay and consumer.

use std::{
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings of a [`Relay`](crate::Relay). Defaults, as in a settings file:
///
/// ```toml
/// [relay]
/// window = 100
/// poll = "50ms"
/// lease = "10s"
/// retry_initial = "100ms"
/// retry_max = "10s"
/// jitter = 0.2
/// drain_timeout = "5s"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelaySettings {
    /// Maximum number of events that are published and not confirmed.
    pub window: NonZeroUsize,
    /// Interval at which the outbox is read for events of other processes.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub poll: Duration,
    /// Duration of the lease. If the relay's process is killed, another relay continues after this time.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub lease: Duration,
    /// Wait after the first failure of the broker or the database. Doubles with each failure.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_initial: Duration,
    /// Longest wait after a failure.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_max: Duration,
    /// Random deviation of each wait, as a fraction of it: 0 to 1.
    pub jitter: f64,
    /// Longest wait for the confirms of the last batch when the relay stops.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
}

/// Settings of a [`Consumer`](crate::Consumer). Defaults, as in a settings file:
///
/// ```toml
/// [consumer]
/// lanes = 8
/// prefetch = 100
/// attempts = 8
/// retry_initial = "100ms"
/// retry_max = "10s"
/// jitter = 0.2
/// drain_timeout = "5s"
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsumerSettings {
    /// Number of lanes: of events handled at the same time. All events of an aggregate use one lane.
    pub lanes: NonZeroU16,
    /// Maximum number of deliveries that are not settled. A failing event holds up to so many others.
    pub prefetch: NonZeroU16,
    /// Number of failed attempts after which an event is parked.
    pub attempts: NonZeroU32,
    /// Wait after the first failure of the handler, the broker or the database. Doubles with each failure.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_initial: Duration,
    /// Longest wait after a failure.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub retry_max: Duration,
    /// Random deviation of each wait, as a fraction of it: 0 to 1.
    pub jitter: f64,
    /// Longest wait for the events in hand when the consumer stops.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub drain_timeout: Duration,
}

/// Invalid field of [`RelaySettings`] or [`ConsumerSettings`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: expected {expected}")]
pub struct SettingsError {
    /// Name of the field.
    pub key: &'static str,
    /// Description of valid values.
    pub expected: &'static str,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            window: NonZeroUsize::MIN.saturating_add(99),
            poll: Duration::from_millis(50),
            lease: Duration::from_secs(10),
            retry_initial: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            jitter: 0.2,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            lanes: NonZeroU16::MIN.saturating_add(7),
            prefetch: NonZeroU16::MIN.saturating_add(99),
            attempts: NonZeroU32::MIN.saturating_add(7),
            retry_initial: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            jitter: 0.2,
            drain_timeout: Duration::from_secs(5),
        }
    }
}

impl RelaySettings {
    /// Returns every invalid field.
    pub fn problems(&self) -> Vec<SettingsError> {
        let backoff = self.backoff();
        let least = Duration::from_secs(1);
        named([
            ("poll", !self.poll.is_zero(), "more than 0"),
            ("lease", self.lease >= least, "at least 1s"),
            ("retry_initial", !backoff.initial.is_zero(), "more than 0"),
            ("retry_max", backoff.max >= backoff.initial, "at least retry_initial"),
            ("jitter", backoff.has_valid_jitter(), "0 to 1"),
        ])
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { initial: self.retry_initial, max: self.retry_max, jitter: self.jitter }
    }
}

impl ConsumerSettings {
    /// Returns every invalid field.
    pub fn problems(&self) -> Vec<SettingsError> {
        let backoff = self.backoff();
        named([
            ("retry_initial", !backoff.initial.is_zero(), "more than 0"),
            ("retry_max", backoff.max >= backoff.initial, "at least retry_initial"),
            ("jitter", backoff.has_valid_jitter(), "0 to 1"),
        ])
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { initial: self.retry_initial, max: self.retry_max, jitter: self.jitter }
    }
}

fn named<const N: usize>(fields: [(&'static str, bool, &'static str); N]) -> Vec<SettingsError> {
    let wrong = fields.into_iter().filter(|(_, right, _)| !right);
    wrong.map(|(key, _, expected)| SettingsError { key, expected }).collect()
}

/// Waits that double up to a maximum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) initial: Duration,
    pub(crate) max: Duration,
    pub(crate) jitter: f64,
}

impl Backoff {
    /// Returns the wait after this many failures.
    pub(crate) fn after(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures.saturating_sub(1));
        let wait = self.initial.saturating_mul(factor).min(self.max);
        wait.mul_f64(1.0 + self.jitter.clamp(0.0, 1.0) * (fastrand::f64() * 2.0 - 1.0))
    }

    fn has_valid_jitter(&self) -> bool {
        (0.0..=1.0).contains(&self.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(RelaySettings::default().problems(), []);
        assert_eq!(ConsumerSettings::default().problems(), []);
    }

    #[test]
    fn every_invalid_field_is_named() {
        let relay = RelaySettings {
            poll: Duration::ZERO,
            lease: Duration::from_millis(999),
            retry_initial: Duration::ZERO,
            jitter: f64::NAN,
            ..RelaySettings::default()
        };
        let keys: Vec<_> = relay.problems().iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["poll", "lease", "retry_initial", "jitter"]);
        let consumer =
            ConsumerSettings { retry_max: Duration::ZERO, jitter: 1.1, ..Default::default() };
        let keys: Vec<_> = consumer.problems().iter().map(|problem| problem.key).collect();
        assert_eq!(keys, ["retry_max", "jitter"]);
    }

    #[test]
    fn waits_double_up_to_their_maximum() {
        let settings = RelaySettings { jitter: 0.0, ..RelaySettings::default() };
        let waits = [0, 1, 2, 7, 8, u32::MAX].map(|n| settings.backoff().after(n).as_millis());
        assert_eq!(waits, [100, 100, 200, 6400, 10_000, 10_000]);
        let jittered = RelaySettings::default().backoff();
        for _ in 0..1000 {
            let wait = jittered.after(1).as_millis();
            assert!((80..=120).contains(&wait), "{wait}");
        }
    }
}
