//! Errors of building a server.

use std::fmt;

use gantry_resilience::limits::{InvalidConcurrency, InvalidRate};
use gantry_tls::InvalidTls;

use crate::{descriptors::TooFewFiles, settings::InvalidSetting};

/// Every problem found while building a server; at least one.
#[derive(Debug)]
pub struct BuildError {
    pub(crate) problems: Vec<BuildProblem>,
}

impl BuildError {
    /// Returns the problems in the order in which they were found.
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl From<BuildProblem> for BuildError {
    fn from(problem: BuildProblem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let separator = if number == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// Reason for which a server cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// The contract has no such service, hence no policies for it.
    #[error("the service {0} is not in the contract")]
    UnknownService(&'static str),
    /// The same service was added twice.
    #[error("the service {0} was added twice")]
    DuplicateService(&'static str),
    /// A method requires credentials, but the server has no verifier.
    #[error("the method {0} needs credentials: the server needs a verifier")]
    NoVerifier(&'static str),
    /// A calling service is granted a permission that the contract does not have. Without this
    /// check, a misspelt grant would show only as refused calls.
    #[error("the permission {permission} that {service} is granted is not in the contract")]
    UnknownPermission {
        /// Calling service.
        service: String,
        /// Permission.
        permission: String,
    },
    /// The contract's descriptors are damaged.
    #[error("the contract cannot be served by reflection: {0}")]
    Reflection(#[from] prost::DecodeError),
    /// A rate is invalid.
    #[error("the rate class {0} cannot be: {1}")]
    RateClass(String, InvalidRate),
    /// The concurrency settings are invalid.
    #[error("the setting concurrency: {0}")]
    Concurrency(#[from] InvalidConcurrency),
    /// A setting is invalid.
    #[error("the setting {0}")]
    Setting(InvalidSetting),
    /// The process's limit of open files is too low for its connections.
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
    /// A certificate or a key cannot be used.
    #[error("the setting tls.{0}")]
    Tls(#[from] InvalidTls),
}
