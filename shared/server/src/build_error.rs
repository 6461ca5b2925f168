//! Reasons for which a server cannot be built.

use std::fmt;

use gantry_resilience::limits::{InvalidConcurrency, InvalidRate};
use gantry_tls::InvalidTls;

use crate::{descriptors::TooFewFiles, settings::InvalidSetting};

/// Every problem for which a server cannot be built; at least one.
#[derive(Debug)]
pub struct BuildError {
    pub(crate) problems: Vec<BuildProblem>,
}

impl BuildError {
    /// Returns the problems, in the order in which they were found.
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
    /// A service without policies: the contract does not say who may call it.
    #[error("the service {0} is not in the contract")]
    UnknownService(&'static str),
    /// The same service twice.
    #[error("the service {0} was added twice")]
    DuplicateService(&'static str),
    /// A method needs credentials, and there is no verifier to check them.
    #[error("the method {0} needs credentials: the server needs a verifier")]
    NoVerifier(&'static str),
    /// A calling service is granted a permission that the contract does not have. As a refusal
    /// alone, a typing error would hardly be noticed.
    #[error("the permission {permission} that {service} is granted is not in the contract")]
    UnknownPermission {
        /// The calling service.
        service: String,
        /// The permission.
        permission: String,
    },
    /// The contract's descriptors are damaged.
    #[error("the contract cannot be served by reflection: {0}")]
    Reflection(#[from] prost::DecodeError),
    /// An invalid rate.
    #[error("the rate class {0} cannot be: {1}")]
    RateClass(String, InvalidRate),
    /// An invalid limit of calls at once.
    #[error("the setting concurrency: {0}")]
    Concurrency(#[from] InvalidConcurrency),
    /// An invalid setting.
    #[error("the setting {0}")]
    Setting(InvalidSetting),
    /// The process may not open enough files for its connections.
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
    /// A certificate or a key cannot be used.
    #[error("the setting tls.{0}")]
    Tls(#[from] InvalidTls),
}
