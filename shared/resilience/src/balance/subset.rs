//! Subset of a service's endpoints, by version or tags.

use std::fmt;

/// Registered labels of an endpoint.
pub trait Labelled {
    /// Returns its version, such as `2.1.0`.
    fn version(&self) -> &str;

    /// Returns its tags.
    fn tags(&self) -> &[String];
}

/// Fallback if no endpoint belongs to a subset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// No endpoint: for endpoints that differ in what they do.
    #[default]
    Nobody,
    /// All endpoints: for a preference.
    Everybody,
}

/// Subset of the endpoints to call. Default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subset {
    /// Version, or its leading parts: `2.1` matches `2.1` and `2.1.7`, not `2.10`.
    pub version: Option<String>,
    /// Tags that an endpoint must have, all of them.
    pub tags: Vec<String>,
    /// Fallback if no endpoint fits.
    pub otherwise: Otherwise,
}

impl Subset {
    /// Returns true if an endpoint belongs to it.
    pub fn contains(&self, endpoint: &impl Labelled) -> bool {
        self.version.as_deref().is_none_or(|wanted| is_version(endpoint.version(), wanted))
            && self.tags.iter().all(|tag| endpoint.tags().contains(tag))
    }

    /// Returns the endpoints to balance among, in the given order.
    pub fn of<'a, T: Labelled>(&self, endpoints: &'a [T]) -> Vec<&'a T> {
        let within: Vec<&T> =
            endpoints.iter().filter(|endpoint| self.contains(*endpoint)).collect();
        match self.otherwise {
            Otherwise::Everybody if within.is_empty() => endpoints.iter().collect(),
            Otherwise::Everybody | Otherwise::Nobody => within,
        }
    }
}

impl fmt::Display for Subset {
    /// Writes what its endpoints have in common: `version 2.1 and the tags a, b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tags = self.tags.join(", ");
        match (&self.version, self.tags.is_empty()) {
            (Some(version), true) => write!(f, "version {version}"),
            (Some(version), false) => write!(f, "version {version} and the tags {tags}"),
            (None, false) => write!(f, "the tags {tags}"),
            (None, true) => f.write_str("an address"),
        }
    }
}

fn is_version(version: &str, wanted: &str) -> bool {
    version
        .strip_prefix(wanted)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '+']))
}
