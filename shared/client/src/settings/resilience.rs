//! Parameters of the circuit breaker, the retry budget and the ejection of endpoints.

use std::time::Duration;

use derive_setters::Setters;
use gantry_resilience::{
    circuit_breaker::{self, WindowKind},
    ejection,
    retry::{Budget, InvalidBudget},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// Circuit breaker of a service. It counts logical calls.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct BreakerSettings {
    /// Size of the window from which the rates are taken, in calls. Default: 100.
    pub window_calls: u32,
    /// Length of the window in time, in place of `window_calls`. Default: none.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub window_time: Option<Duration>,
    /// Consecutive failed calls that open it. Default: 5.
    pub consecutive_failures: u32,
    /// Calls in the window from which the rates count. Default: 20.
    pub minimum_calls: u32,
    /// Share of failed calls that opens it, above 0 to 1. Default: 0.5.
    pub failure_rate: f64,
    /// Share of slow calls that opens it, above 0 to 1. Default: 0.8.
    pub slow_rate: f64,
    /// Wait for the response headers from which a call is slow. Default: 60 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub slow_after: Duration,
    /// Time that it is open at first, before jitter. Each failed probe doubles it. Default: 5 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open: Duration,
    /// Longest time that it is open, before jitter. Default: 60 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open_max: Duration,
    /// Probes that must succeed before it closes. Default: 5.
    pub probes: u32,
}

/// Budget of retries to a service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct RetrySettings {
    /// Maximum number of tokens, 1 to 1000. A retryable failure takes one; at half of them nothing is
    /// retried. Default: 100.
    pub budget_tokens: u32,
    /// Part of a token that a success returns. Default: 0.1.
    pub budget_per_success: f64,
    /// Longest request that is kept to be sent again, in bytes. Default: 256 KiB.
    pub max_request_bytes: usize,
}

/// Temporary removal of failing endpoints.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct EjectionSettings {
    /// Consecutive failures that eject an endpoint. Default: 5.
    pub consecutive_failures: u32,
    /// Interval at which the endpoints are compared. Default: 10 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// Length of an ejection, times the number of ejections. Default: 30 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub base_time: Duration,
    /// Longest ejection. Default: 300 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_time: Duration,
    /// Maximum share of the endpoints that are ejected at once, in percent. 0 ejects none. Default: 50.
    pub max_ejected_percent: u32,
    /// Comparison of success rates (gRFC A50).
    pub success_rate: SuccessRateSettings,
    /// Comparison with a fixed share of failures (gRFC A50).
    pub failure_percentage: FailurePercentageSettings,
    /// Ejects endpoints that refuse many calls in a row while the others do not. Default: true.
    pub refusals: bool,
}

/// Ejection of endpoints whose success rate is far below that of the others (gRFC A50).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct SuccessRateSettings {
    /// Turns it on. Default: true.
    pub enabled: bool,
    /// Standard deviations below the mean from which an endpoint is ejected. Default: 1.9.
    pub stdev_factor: f64,
    /// Minimum number of endpoints with enough calls. Default: 5.
    pub minimum_hosts: u32,
    /// Calls within an interval that are enough. Default: 100.
    pub request_volume: u32,
}

/// Ejection of endpoints with mostly failed calls, regardless of the others (gRFC A50).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct FailurePercentageSettings {
    /// Turns it on. Default: true.
    pub enabled: bool,
    /// Share of failed calls above which an endpoint is ejected, in percent. Default: 85.
    pub threshold: u32,
    /// Minimum number of endpoints with enough calls. Default: 5.
    pub minimum_hosts: u32,
    /// Calls within an interval that are enough. Default: 50.
    pub request_volume: u32,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        let numbers = circuit_breaker::Parameters::default();
        Self {
            window_calls: 100,
            window_time: None,
            consecutive_failures: numbers.consecutive_failures,
            minimum_calls: numbers.minimum_calls,
            failure_rate: numbers.failure_rate,
            slow_rate: numbers.slow_rate,
            slow_after: numbers.slow_after,
            open: numbers.open,
            open_max: numbers.open_max,
            probes: numbers.probes,
        }
    }
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { budget_tokens: 100, budget_per_success: 0.1, max_request_bytes: 256 * 1024 }
    }
}

impl Default for EjectionSettings {
    fn default() -> Self {
        let numbers = ejection::Parameters::default();
        Self {
            consecutive_failures: numbers.consecutive_failures,
            interval: numbers.interval,
            base_time: numbers.base_ejection,
            max_time: numbers.max_ejection,
            max_ejected_percent: numbers.max_ejected_percent,
            success_rate: SuccessRateSettings::default(),
            failure_percentage: FailurePercentageSettings::default(),
            refusals: numbers.refusals,
        }
    }
}

impl Default for SuccessRateSettings {
    fn default() -> Self {
        let ejection::SuccessRate { stdev_factor, minimum_hosts, request_volume } =
            ejection::SuccessRate::default();
        Self { enabled: true, stdev_factor, minimum_hosts, request_volume }
    }
}

impl Default for FailurePercentageSettings {
    fn default() -> Self {
        let ejection::FailurePercentage { threshold, minimum_hosts, request_volume } =
            ejection::FailurePercentage::default();
        Self { enabled: true, threshold, minimum_hosts, request_volume }
    }
}

impl BreakerSettings {
    pub(crate) fn config(&self) -> Result<circuit_breaker::Config, InvalidSetting> {
        circuit_breaker::Config::try_new(self.parameters()).map_err(Self::invalid)
    }

    pub(super) fn problems(&self) -> Vec<InvalidSetting> {
        self.parameters().problems().into_iter().map(Self::invalid).collect()
    }

    fn parameters(&self) -> circuit_breaker::Parameters {
        /// Number of buckets of a window in time.
        const BUCKETS: u32 = 10;
        let window = match self.window_time {
            Some(time) => WindowKind::Time { buckets: BUCKETS, bucket: time / BUCKETS },
            None => WindowKind::Calls(self.window_calls),
        };
        circuit_breaker::Parameters {
            window,
            consecutive_failures: self.consecutive_failures,
            minimum_calls: self.minimum_calls,
            failure_rate: self.failure_rate,
            slow_rate: self.slow_rate,
            slow_after: self.slow_after,
            open: self.open,
            open_max: self.open_max,
            probes: self.probes,
            ..circuit_breaker::Parameters::default()
        }
    }

    fn invalid(invalid: circuit_breaker::InvalidConfig) -> InvalidSetting {
        let key = match invalid.parameter() {
            "window.calls" => "window_calls",
            "window.bucket" => "window_time",
            name => name,
        };
        InvalidSetting::new(format!("breaker.{key}"), invalid)
    }
}

impl RetrySettings {
    pub(super) fn problems(&self) -> impl Iterator<Item = InvalidSetting> {
        // One parameter at a time, beside a valid other one.
        let Self { budget_tokens, budget_per_success, .. } = *self;
        let tokens = Self { budget_tokens, ..Self::default() };
        let per_success = Self { budget_per_success, ..Self::default() };
        [tokens, per_success].into_iter().filter_map(|settings| settings.budget().err())
    }

    pub(crate) fn budget(&self) -> Result<Budget, InvalidSetting> {
        Budget::try_new(self.budget_tokens, self.budget_per_success).map_err(|invalid| {
            let key = match invalid {
                InvalidBudget::Tokens => "retry.budget_tokens",
                InvalidBudget::PerSuccess => "retry.budget_per_success",
            };
            InvalidSetting::new(key, invalid)
        })
    }
}

impl EjectionSettings {
    pub(crate) fn config(&self) -> Result<ejection::Config, InvalidSetting> {
        ejection::Config::try_new(self.parameters()).map_err(Self::invalid)
    }

    pub(super) fn problems(&self) -> Vec<InvalidSetting> {
        self.parameters().problems().into_iter().map(Self::invalid).collect()
    }

    fn parameters(&self) -> ejection::Parameters {
        let (success, failure) = (&self.success_rate, &self.failure_percentage);
        ejection::Parameters {
            consecutive_failures: self.consecutive_failures,
            interval: self.interval,
            base_ejection: self.base_time,
            max_ejection: self.max_time,
            max_ejected_percent: self.max_ejected_percent,
            success_rate: success.enabled.then_some(ejection::SuccessRate {
                stdev_factor: success.stdev_factor,
                minimum_hosts: success.minimum_hosts,
                request_volume: success.request_volume,
            }),
            failure_percentage: failure.enabled.then_some(ejection::FailurePercentage {
                threshold: failure.threshold,
                minimum_hosts: failure.minimum_hosts,
                request_volume: failure.request_volume,
            }),
            refusals: self.refusals,
        }
    }

    fn invalid(invalid: ejection::InvalidConfig) -> InvalidSetting {
        let key = match invalid.parameter() {
            "base_ejection" => "base_time",
            "max_ejection" => "max_time",
            name => name,
        };
        InvalidSetting::new(format!("ejection.{key}"), invalid)
    }
}
