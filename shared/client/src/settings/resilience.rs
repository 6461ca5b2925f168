//! The numbers of the breaker, the retry budget and the ejection of endpoints.

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

/// When the calls to a service are not worth making. It counts logical calls.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct BreakerSettings {
    /// The rates are taken of the last so many calls.
    pub window_calls: u32,
    /// Where it is given, the rates are taken of the calls of so long instead.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    pub window_time: Option<Duration>,
    /// Opens when so many calls in a row failed.
    pub consecutive_failures: u32,
    /// The rates count from so many calls in the window on.
    pub minimum_calls: u32,
    /// Opens when this share of the window failed, above 0 to 1.
    pub failure_rate: f64,
    /// Opens when this share of the window was slow, above 0 to 1.
    pub slow_rate: f64,
    /// A call that waited so long for its response headers was slow.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub slow_after: Duration,
    /// How long it is open the first time, before jitter; doubled by each failed probe.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open: Duration,
    /// Where the doubling ends.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub open_max: Duration,
    /// The calls that find out whether it may close.
    pub probes: u32,
}

/// What retries may cost the service.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct RetrySettings {
    /// A retryable failure takes one; at half of them nothing is retried. 1 to 1000.
    pub budget_tokens: u32,
    /// The part of a token that a success gives back.
    pub budget_per_success: f64,
    /// A request above so many bytes is not sent again once it was sent.
    pub max_request_bytes: usize,
}

/// When an endpoint gets no calls, and for how long.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct EjectionSettings {
    /// So many failures in a row eject an endpoint.
    pub consecutive_failures: u32,
    /// How often the calls of all endpoints are compared.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// An ejection lasts so long, times the number of ejections.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub base_time: Duration,
    /// But no longer than this.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub max_time: Duration,
    /// The most of the endpoints that are ejected at once, in percent; 0 ejects none.
    pub max_ejected_percent: u32,
    /// Compares success rates.
    pub success_rate: SuccessRateSettings,
    /// Looks for those that hardly ever succeed.
    pub failure_percentage: FailurePercentageSettings,
    /// Ejects endpoints that refuse many calls in a row while the others do not.
    pub refusals: bool,
}

/// When a success rate is too far below the others'.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct SuccessRateSettings {
    /// Whether this is looked for.
    pub enabled: bool,
    /// How many standard deviations below the mean.
    pub stdev_factor: f64,
    /// How many endpoints must have enough calls.
    pub minimum_hosts: u32,
    /// How many calls within an interval are enough.
    pub request_volume: u32,
}

/// When too many calls of an endpoint fail, whatever the others do.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct FailurePercentageSettings {
    /// Whether this is looked for.
    pub enabled: bool,
    /// More than so many percent.
    pub threshold: u32,
    /// How many endpoints must have enough calls.
    pub minimum_hosts: u32,
    /// How many calls within an interval are enough.
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
        /// So many buckets make a window of time.
        const BUCKETS: u32 = 10;
        let window = match self.window_time {
            Some(time) => WindowKind::Time { buckets: BUCKETS, bucket: time / BUCKETS },
            None => WindowKind::Calls(self.window_calls),
        };
        circuit_breaker::Config::try_new(circuit_breaker::Parameters {
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
        })
        .map_err(|invalid| {
            let key = match invalid.parameter() {
                "window.calls" => "window_calls",
                "window.bucket" => "window_time",
                name => name,
            };
            InvalidSetting::new(format!("breaker.{key}"), invalid)
        })
    }
}

impl RetrySettings {
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
        let (success, failure) = (&self.success_rate, &self.failure_percentage);
        ejection::Config::try_new(ejection::Parameters {
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
        })
        .map_err(|invalid| {
            let key = match invalid.parameter() {
                "base_ejection" => "base_time",
                "max_ejection" => "max_time",
                name => name,
            };
            InvalidSetting::new(format!("ejection.{key}"), invalid)
        })
    }
}
