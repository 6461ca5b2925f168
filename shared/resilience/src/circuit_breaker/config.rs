//! Parameters of a breaker.

use std::time::Duration;

/// Longest duration of any parameter.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Largest number of calls in a window.
const MOST_CALLS: u32 = 10_000;

/// Largest number of buckets in a window.
const MOST_BUCKETS: u32 = 600;

/// Sliding window of the calls that the rates are computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The last calls, by number.
    Calls(u32),
    /// The calls of the last periods, the current one included.
    Time {
        /// Number of periods.
        buckets: u32,
        /// Length of each period.
        bucket: Duration,
    },
}

impl WindowKind {
    /// Window of the last 100 calls.
    pub const BY_CALLS: Self = Self::Calls(100);

    /// Window of the last 10 periods of one second.
    pub const BY_TIME: Self = Self::Time { buckets: 10, bucket: Duration::from_secs(1) };
}

/// Parameters of a breaker, unchecked: see [`Config::try_new`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Window for the two rates. Default: the last 100 calls.
    pub window: WindowKind,
    /// Number of consecutive failures that opens the breaker. Default 5.
    pub consecutive_failures: u32,
    /// Number of calls in the window from which on the rates count. Default 20.
    pub minimum_calls: u32,
    /// Share of failed calls that opens the breaker: above 0, at most 1. Default 0.5.
    pub failure_rate: f64,
    /// Share of slow calls that opens the breaker: above 0, at most 1. Default 0.8.
    pub slow_rate: f64,
    /// Duration from which on a call is slow, from its admission to its answer (or to
    /// [`Permit::answered`](super::Permit::answered)). Default 60 s.
    pub slow_after: Duration,
    /// Duration of the first open wait. Default 5 s. Doubles each time a probe fails.
    pub open: Duration,
    /// Longest open wait, before jitter. Default 60 s.
    pub open_max: Duration,
    /// Random deviation of each wait: a factor from `1 - jitter` to `1 + jitter`. At least 0, below 1.
    /// Default 0.2.
    pub jitter: f64,
    /// Number of probes of a half-open breaker. All must succeed. Default 5.
    pub probes: u32,
    /// Time after which outstanding probes count as lost and their permits are issued again. Default
    /// 60 s. Calls have deadlines, so only a forgotten stream takes that long.
    pub probe_timeout: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            window: WindowKind::BY_CALLS,
            consecutive_failures: 5,
            minimum_calls: 20,
            failure_rate: 0.5,
            slow_rate: 0.8,
            slow_after: Duration::from_secs(60),
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            jitter: 0.2,
            probes: 5,
            probe_timeout: Duration::from_secs(60),
        }
    }
}

impl Parameters {
    /// Returns every invalid parameter.
    pub fn problems(&self) -> Vec<InvalidConfig> {
        let (window, held) = match self.window {
            WindowKind::Calls(calls) => ([count("window.calls", calls, MOST_CALLS), Ok(())], calls),
            WindowKind::Time { buckets, bucket } => {
                let buckets = count("window.buckets", buckets, MOST_BUCKETS);
                ([buckets, time("window.bucket", bucket)], u32::MAX)
            }
        };
        // Beside an invalid window any minimum is fine.
        let held = if window.iter().all(Result::is_ok) { held } else { u32::MAX };
        let jitter = (0.0..1.0).contains(&self.jitter);
        let parameters = [
            count("consecutive_failures", self.consecutive_failures, u32::MAX),
            // A window smaller than the minimum would never open the breaker.
            count("minimum_calls", self.minimum_calls, held),
            count("probes", self.probes, MOST_CALLS),
            rate("failure_rate", self.failure_rate),
            rate("slow_rate", self.slow_rate),
            jitter.then_some(()).ok_or(InvalidConfig::Jitter),
            time("slow_after", self.slow_after),
            time("open", self.open),
            time("open_max", self.open_max)
                .and((self.open_max >= self.open).then_some(()).ok_or(InvalidConfig::OpenMax)),
            time("probe_timeout", self.probe_timeout),
        ];
        window.into_iter().chain(parameters).filter_map(Result::err).collect()
    }
}

/// Invalid parameter of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero or too large.
    #[error("{name} must be 1 to {most}")]
    Count {
        /// Name of the parameter.
        name: &'static str,
        /// Largest valid value.
        most: u32,
    },
    /// A rate is not above 0 and at most 1.
    #[error("{name} must be above 0 and at most 1")]
    Rate {
        /// Name of the parameter.
        name: &'static str,
    },
    /// The jitter is not at least 0 and below 1.
    #[error("jitter must be at least 0 and below 1")]
    Jitter,
    /// A duration is zero or longer than a day.
    #[error("{name} must be longer than 0 s and at most a day")]
    Time {
        /// Name of the parameter.
        name: &'static str,
    },
    /// The longest open wait is shorter than the first.
    #[error("open_max must not be shorter than open")]
    OpenMax,
}

impl InvalidConfig {
    /// Returns the name of the invalid parameter.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Count { name, .. } | Self::Rate { name } | Self::Time { name } => name,
            Self::Jitter => "jitter",
            Self::OpenMax => "open_max",
        }
    }
}

/// Checked parameters of a breaker.
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

    /// Returns the open wait of a breaker that opened this many times since it was last closed.
    /// `random` is at least 0 and below 1.
    pub(super) fn wait(&self, openings: u32, random: f64) -> Duration {
        // 31 doublings of 1 s are 68 years; the product saturates.
        let doubled = self.0.open.saturating_mul(1 << openings.saturating_sub(1).min(31));
        doubled.min(self.0.open_max).mul_f64(1.0 + self.0.jitter * (2.0 * random - 1.0))
    }
}

fn count(name: &'static str, value: u32, most: u32) -> Result<(), InvalidConfig> {
    if (1..=most).contains(&value) { Ok(()) } else { Err(InvalidConfig::Count { name, most }) }
}

fn rate(name: &'static str, value: f64) -> Result<(), InvalidConfig> {
    if value > 0.0 && value <= 1.0 { Ok(()) } else { Err(InvalidConfig::Rate { name }) }
}

fn time(name: &'static str, value: Duration) -> Result<(), InvalidConfig> {
    if !value.is_zero() && value <= LONGEST { Ok(()) } else { Err(InvalidConfig::Time { name }) }
}
