//! Parameters of ejection.

use std::time::Duration;

/// Longest duration of any parameter.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parameters of a detector, unchecked: see [`Config::try_new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Consecutive failures that eject an endpoint. Default 5.
    pub consecutive_failures: u32,
    /// Interval at which the endpoints are compared, and after which one ejection is forgotten.
    /// Default 10 s.
    pub interval: Duration,
    /// Length of the first ejection. Default 30 s.
    pub base_ejection: Duration,
    /// Longest ejection. Default 300 s.
    pub max_ejection: Duration,
    /// Maximum share of the set that is ejected at once, in percent. 0 ejects none. Default 50.
    pub max_ejected_percent: u32,
    /// Comparison of success rates; `None` turns it off.
    pub success_rate: Option<SuccessRate>,
    /// Comparison with a fixed share of failures; `None` turns it off.
    pub failure_percentage: Option<FailurePercentage>,
    /// Ejects endpoints that refuse many calls in a row while the others do not. Default true.
    pub refusals: bool,
}

/// Ejection of endpoints whose success rate is far below that of the others (gRFC A50).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// Standard deviations below the mean from which an endpoint is ejected. Default 1.9.
    pub stdev_factor: f64,
    /// Minimum number of endpoints with enough calls. Default 5.
    pub minimum_hosts: u32,
    /// Calls within an interval that are enough. Default 100.
    pub request_volume: u32,
}

/// Ejection of endpoints with mostly failed calls, regardless of the others (gRFC A50).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    /// Share of failed calls above which an endpoint is ejected, in percent. Default 85.
    pub threshold: u32,
    /// Minimum number of endpoints with enough calls. Default 5.
    pub minimum_hosts: u32,
    /// Calls within an interval that are enough. Default 50.
    pub request_volume: u32,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            interval: Duration::from_secs(10),
            base_ejection: Duration::from_secs(30),
            max_ejection: Duration::from_secs(300),
            max_ejected_percent: 50,
            success_rate: Some(SuccessRate::default()),
            failure_percentage: Some(FailurePercentage::default()),
            refusals: true,
        }
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self { stdev_factor: 1.9, minimum_hosts: 5, request_volume: 100 }
    }
}

impl Default for FailurePercentage {
    fn default() -> Self {
        Self { threshold: 85, minimum_hosts: 5, request_volume: 50 }
    }
}

impl Parameters {
    /// Returns every invalid parameter.
    pub fn problems(&self) -> Vec<InvalidConfig> {
        let longest = self.max_ejection >= self.base_ejection;
        let parameters = [
            count("consecutive_failures", self.consecutive_failures),
            time("interval", self.interval),
            time("base_ejection", self.base_ejection),
            time("max_ejection", self.max_ejection)
                .and(longest.then_some(()).ok_or(InvalidConfig::MaxEjection)),
            percentage("max_ejected_percent", self.max_ejected_percent),
        ];
        let success_rate = self.success_rate.map(|rule| {
            let factor = rule.stdev_factor.is_finite() && rule.stdev_factor > 0.0;
            [
                factor.then_some(()).ok_or(InvalidConfig::StdevFactor),
                count("success_rate.minimum_hosts", rule.minimum_hosts),
                count("success_rate.request_volume", rule.request_volume),
            ]
        });
        let failure_percentage = self.failure_percentage.map(|rule| {
            [
                percentage("failure_percentage.threshold", rule.threshold),
                count("failure_percentage.minimum_hosts", rule.minimum_hosts),
                count("failure_percentage.request_volume", rule.request_volume),
            ]
        });
        let rules = success_rate.into_iter().chain(failure_percentage).flatten();
        parameters.into_iter().chain(rules).filter_map(Result::err).collect()
    }
}

/// Invalid parameter of a detector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero.
    #[error("{name} must be at least 1")]
    Count {
        /// Name of the parameter.
        name: &'static str,
    },
    /// A percentage is above 100.
    #[error("{name} must be 0 to 100")]
    Percentage {
        /// Name of the parameter.
        name: &'static str,
    },
    /// The factor is not a finite number above 0.
    #[error("success_rate.stdev_factor must be finite and above 0")]
    StdevFactor,
    /// A duration is zero or longer than a day.
    #[error("{name} must be longer than 0 s and at most a day")]
    Time {
        /// Name of the parameter.
        name: &'static str,
    },
    /// The longest ejection is shorter than the first.
    #[error("max_ejection must not be shorter than base_ejection")]
    MaxEjection,
}

impl InvalidConfig {
    /// Returns the name of the invalid parameter.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Count { name } | Self::Percentage { name } | Self::Time { name } => name,
            Self::StdevFactor => "success_rate.stdev_factor",
            Self::MaxEjection => "max_ejection",
        }
    }
}

/// Checked parameters of a detector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Config(Parameters);

impl Config {
    /// Checks the parameters.
    ///
    /// # Errors
    /// The first [`InvalidConfig`] found.
    pub fn try_new(parameters: Parameters) -> Result<Self, InvalidConfig> {
        match parameters.problems().into_iter().next() {
            None => Ok(Self(parameters)),
            Some(problem) => Err(problem),
        }
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }

    /// Returns the maximum number of ejected endpoints in a set of this size.
    pub(super) fn most_ejected(&self, endpoints: usize) -> usize {
        let percent = self.0.max_ejected_percent as usize;
        if endpoints < 2 || percent == 0 {
            return 0;
        }
        (endpoints * percent / 100).clamp(1, endpoints - 1)
    }

    /// Returns the length of the n-th ejection.
    pub(super) fn ejection(&self, times: u32) -> Duration {
        self.0.base_ejection.saturating_mul(times).min(self.0.max_ejection)
    }

    /// Returns the ejection count above which ejections no longer grow. It is not counted further:
    /// a higher count would take long to decay.
    pub(super) fn most_times(&self) -> u32 {
        let times = self.0.max_ejection.as_nanos().div_ceil(self.0.base_ejection.as_nanos());
        // A day of nanoseconds does not fit.
        u32::try_from(times).unwrap_or(u32::MAX)
    }
}

fn count(name: &'static str, value: u32) -> Result<(), InvalidConfig> {
    if value > 0 { Ok(()) } else { Err(InvalidConfig::Count { name }) }
}

fn percentage(name: &'static str, value: u32) -> Result<(), InvalidConfig> {
    if value <= 100 { Ok(()) } else { Err(InvalidConfig::Percentage { name }) }
}

fn time(name: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if !value.is_zero() && value <= LONGEST { Ok(()) } else { Err(InvalidConfig::Time { name }) }
}
