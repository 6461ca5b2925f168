//! When a breaker opens, and for how long.

use std::time::Duration;

/// The longest a time of a breaker may be: nothing heals by waiting longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// The most calls that a window may count.
const MOST_CALLS: u32 = 10_000;

/// The most buckets that a window may have.
const MOST_BUCKETS: u32 = 600;

/// Which calls the rates are taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The last so many calls that ended.
    Calls(u32),
    /// Those that ended in so many periods of this length, the current one included.
    Time {
        /// How many periods.
        buckets: u32,
        /// The length of each.
        bucket: Duration,
    },
}

impl WindowKind {
    /// The last 100 calls.
    pub const BY_CALLS: Self = Self::Calls(100);

    /// The last 10 periods of one second.
    pub const BY_TIME: Self = Self::Time { buckets: 10, bucket: Duration::from_secs(1) };
}

/// The numbers of a breaker; [`Config::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameters {
    /// Which calls the two rates are taken of; the last 100 by default.
    pub window: WindowKind,
    /// Opens when so many calls failed one after the other; 5 by default.
    pub consecutive_failures: u32,
    /// The rates count from so many calls in the window on; 20 by default.
    pub minimum_calls: u32,
    /// Opens when so great a share of the window failed, above 0 to 1; 0.5 by default.
    pub failure_rate: f64,
    /// Opens when so great a share of the window was slow, above 0 to 1; 0.8 by default.
    pub slow_rate: f64,
    /// A call that took so long was slow, from its admission to its answer (or to
    /// [`Permit::answered`](super::Permit::answered)); 60 s by default.
    pub slow_after: Duration,
    /// How long it is open the first time; 5 s by default. Doubled each time a probe fails.
    pub open: Duration,
    /// Where the doubling ends, before jitter; 60 s by default.
    pub open_max: Duration,
    /// Each wait is multiplied by a random number from `1 - jitter` to `1 + jitter`; at
    /// least 0, below 1; 0.2 by default.
    pub jitter: f64,
    /// How many calls are let through half-open, all of which must succeed; 5 by default.
    pub probes: u32,
    /// Half-open, the permits are given out anew when nothing was heard of the
    /// outstanding ones for so long; 60 s by default. Calls have deadlines, so that only
    /// a stream that was forgotten gets there.
    pub probe_patience: Duration,
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
            probe_patience: Duration::from_secs(60),
        }
    }
}

/// Numbers that no breaker can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero or above what is allowed.
    #[error("{name} must be 1 to {most}")]
    Count {
        /// Which parameter.
        name: &'static str,
        /// The greatest value allowed.
        most: u32,
    },
    /// A rate is no number above 0 and up to 1.
    #[error("{name} must be above 0 and at most 1")]
    Rate {
        /// Which parameter.
        name: &'static str,
    },
    /// The jitter is no number from 0 to below 1.
    #[error("jitter must be at least 0 and below 1")]
    Jitter,
    /// A time is zero or longer than a day.
    #[error("{name} must be longer than 0 s and at most a day")]
    Time {
        /// Which parameter.
        name: &'static str,
    },
    /// The longest wait is shorter than the first.
    #[error("open_max must not be shorter than open")]
    OpenMax,
}

impl InvalidConfig {
    /// The parameter that is wrong, by its name.
    pub fn parameter(&self) -> &'static str {
        match self {
            Self::Count { name, .. } | Self::Rate { name } | Self::Time { name } => name,
            Self::Jitter => "jitter",
            Self::OpenMax => "open_max",
        }
    }
}

/// The numbers of a breaker, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Config(Parameters);

impl Config {
    /// Checks the numbers.
    ///
    /// # Errors
    /// The first [`InvalidConfig`] found.
    pub fn try_new(parameters: Parameters) -> Result<Self, InvalidConfig> {
        let p = &parameters;
        let held = match p.window {
            WindowKind::Calls(calls) => {
                count("window.calls", calls, MOST_CALLS)?;
                calls
            }
            WindowKind::Time { buckets, bucket } => {
                count("window.buckets", buckets, MOST_BUCKETS)?;
                time("window.bucket", bucket)?;
                u32::MAX
            }
        };
        count("consecutive_failures", p.consecutive_failures, u32::MAX)?;
        // A window that never holds the minimum would never open the breaker.
        count("minimum_calls", p.minimum_calls, held)?;
        count("probes", p.probes, MOST_CALLS)?;
        rate("failure_rate", p.failure_rate)?;
        rate("slow_rate", p.slow_rate)?;
        if !(0.0..1.0).contains(&p.jitter) {
            return Err(InvalidConfig::Jitter);
        }
        time("slow_after", p.slow_after)?;
        time("open", p.open)?;
        time("open_max", p.open_max)?;
        time("probe_patience", p.probe_patience)?;
        if p.open_max < p.open {
            return Err(InvalidConfig::OpenMax);
        }
        Ok(Self(parameters))
    }

    /// The numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }

    /// How long a breaker stays open that opened so many times since it was last
    /// closed. `random` is from 0 to below 1.
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
