//! When an endpoint is ejected, and for how long.

use std::time::Duration;

/// The longest a time may be here: nobody waits longer for an endpoint.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The numbers of a detector; [`Config::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Ejects at so many failures in a row; 5 by default.
    pub consecutive_failures: u32,
    /// How often the calls are looked at, and how long a number of ejections lasts; 10 s
    /// by default.
    pub interval: Duration,
    /// How long the first ejection lasts; 30 s by default.
    pub base_ejection: Duration,
    /// How long one may last; 300 s by default.
    pub max_ejection: Duration,
    /// How much of the set may be ejected, in percent; 50 by default, 0 ejects nobody.
    pub max_ejected_percent: u32,
    /// Looks for success rates far below the others'.
    pub success_rate: Option<SuccessRate>,
    /// Looks for endpoints that hardly ever succeed.
    pub failure_percentage: Option<FailurePercentage>,
    /// Ejects endpoints that refuse many calls in a row while the others do not; on by default.
    pub refusals: bool,
}

/// When a success rate is too far below the others'.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SuccessRate {
    /// How many standard deviations below the mean; 1.9 by default.
    pub stdev_factor: f64,
    /// How many endpoints must have enough calls; 5 by default.
    pub minimum_hosts: u32,
    /// How many calls within an interval are enough; 100 by default.
    pub request_volume: u32,
}

/// When too many calls of an endpoint fail, whatever the others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePercentage {
    /// More than so many percent; 85 by default.
    pub threshold: u32,
    /// How many endpoints must have enough calls; 5 by default.
    pub minimum_hosts: u32,
    /// How many calls within an interval are enough; 50 by default.
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

/// Numbers that no detector can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero.
    #[error("{name} must be at least 1")]
    Count {
        /// Which parameter.
        name: &'static str,
    },
    /// A percentage is none.
    #[error("{name} must be 0 to 100")]
    Percentage {
        /// Which parameter.
        name: &'static str,
    },
    /// The factor is no number above 0.
    #[error("success_rate.stdev_factor must be finite and above 0")]
    StdevFactor,
    /// A time is zero or longer than a day.
    #[error("{name} must be longer than 0 s and at most a day")]
    Time {
        /// Which parameter.
        name: &'static str,
    },
    /// The longest ejection is shorter than the first.
    #[error("max_ejection must not be shorter than base_ejection")]
    MaxEjection,
}

impl InvalidConfig {
    /// The parameter that is wrong, by its name.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Count { name } | Self::Percentage { name } | Self::Time { name } => name,
            Self::StdevFactor => "success_rate.stdev_factor",
            Self::MaxEjection => "max_ejection",
        }
    }
}

/// The numbers of a detector, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Config(Parameters);

impl Config {
    /// Checks the numbers.
    ///
    /// # Errors
    /// The first [`InvalidConfig`] found.
    pub fn try_new(parameters: Parameters) -> Result<Self, InvalidConfig> {
        let p = &parameters;
        count("consecutive_failures", p.consecutive_failures)?;
        time("interval", p.interval)?;
        time("base_ejection", p.base_ejection)?;
        time("max_ejection", p.max_ejection)?;
        if p.max_ejection < p.base_ejection {
            return Err(InvalidConfig::MaxEjection);
        }
        percentage("max_ejected_percent", p.max_ejected_percent)?;
        if let Some(rule) = p.success_rate {
            if !rule.stdev_factor.is_finite() || rule.stdev_factor <= 0.0 {
                return Err(InvalidConfig::StdevFactor);
            }
            count("success_rate.minimum_hosts", rule.minimum_hosts)?;
            count("success_rate.request_volume", rule.request_volume)?;
        }
        if let Some(rule) = p.failure_percentage {
            percentage("failure_percentage.threshold", rule.threshold)?;
            count("failure_percentage.minimum_hosts", rule.minimum_hosts)?;
            count("failure_percentage.request_volume", rule.request_volume)?;
        }
        Ok(Self(parameters))
    }

    /// The numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }

    /// How many of a set of so many may be ejected.
    pub(super) fn most_ejected(&self, endpoints: usize) -> usize {
        let percent = self.0.max_ejected_percent as usize;
        if endpoints < 2 || percent == 0 {
            return 0;
        }
        (endpoints * percent / 100).clamp(1, endpoints - 1)
    }

    /// How long the n-th ejection lasts.
    pub(super) fn ejection(&self, times: u32) -> Duration {
        self.0.base_ejection.saturating_mul(times).min(self.0.max_ejection)
    }

    /// The number of ejections above which they last no longer: it need not be counted
    /// any further, else it would take long to be forgotten.
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
