//! How many calls a dependency may hold.

use std::time::Duration;

/// The most calls that may be under way, and that may wait.
const MOST_CALLS: u32 = 100_000;

/// The longest that a call may wait for a slot.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// The numbers of a bulkhead; [`Config::try_new`] checks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// How many calls are under way at once; 25 by default.
    pub concurrent: u32,
    /// Whether further calls wait; by default they are refused at once.
    pub wait: Option<Wait>,
}

/// Who waits for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// How many calls wait at once.
    pub calls: u32,
    /// How long each waits at most, and never past its deadline.
    pub longest: Duration,
}

impl Default for Parameters {
    fn default() -> Self {
        Self { concurrent: 25, wait: None }
    }
}

/// Numbers that no bulkhead can work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConfig {
    /// A count is zero or too large.
    #[error("{name} must be 1 to {MOST_CALLS}")]
    Count {
        /// Which parameter.
        name: &'static str,
    },
    /// The wait has no length, or too great a one.
    #[error("wait.longest must be longer than 0 s and at most an hour")]
    Longest,
}

/// The numbers of a bulkhead, checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config(Parameters);

impl Config {
    /// Checks the numbers.
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

    /// The numbers.
    pub fn parameters(&self) -> &Parameters {
        &self.0
    }
}

fn count(name: &'static str, value: u32) -> Result<(), InvalidConfig> {
    if (1..=MOST_CALLS).contains(&value) { Ok(()) } else { Err(InvalidConfig::Count { name }) }
}
