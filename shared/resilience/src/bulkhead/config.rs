//! Parameters of a bulkhead.

use std::time::Duration;

/// Largest number of concurrent calls, and of waiting calls.
const MOST_CALLS: u32 = 100_000;

/// Longest wait for a slot.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// Parameters of a bulkhead, unchecked: see [`Config::try_new`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Number of concurrent calls. Default 25.
    pub concurrent: u32,
    /// Queue for further calls. Default: none, they are rejected at once.
    pub wait: Option<Wait>,
}

/// Queue of calls that wait for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Number of waiting calls.
    pub calls: u32,
    /// Longest wait of a call. Never exceeds its deadline.
    pub longest: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { concurrent: 25, wait: None }
    }
}

/// Invalid parameter of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero or too large.
    #[error("{name} must be 1 to {MOST_CALLS}")]
    Count {
        /// Name of the parameter.
        name: &'static str,
    },
    /// The wait is zero or too long.
    #[error("wait.longest must be longer than 0 s and at most an hour")]
    Longest,
}

/// Checked parameters of a bulkhead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config(Parameters);

impl Config {
    /// Checks the parameters.
    ///
    /// # Errors
    /// The first [`InvalidConfig`] found.
    pub fn try_new(parameters: Parameters) -> Result<Self, InvalidConfig> {
        count("concurrent", parameters.concurrent)?;
        if let Some(wait) = parameters.wait {
            count("wait.calls", wait.calls)?;
            if wait.longest.is_zero() || wait.longest > LONGEST {
                return Err(InvalidConfig::Longest);
            }
        }
        Ok(Self(parameters))
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }
}

fn count(name: &'static str, value: u32) -> Result<(), InvalidConfig> {
    if (1..=MOST_CALLS).contains(&value) { Ok(()) } else { Err(InvalidConfig::Count { name }) }
}
