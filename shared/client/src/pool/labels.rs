//! Configured subset of the listed endpoints.

use gantry_discovery::{Endpoint, EndpointSet};
use gantry_resilience::balance::{Labelled, Subset};

/// Registered labels of an endpoint, for the choice of the subset.
pub(crate) struct Labels<'a>(pub(crate) &'a Endpoint);

impl Labelled for Labels<'_> {
    fn version(&self) -> &str {
        &self.0.version
    }

    fn tags(&self) -> &[String] {
        &self.0.tags
    }
}

/// Returns the endpoints to call.
pub(super) fn chosen<'a>(set: &'a EndpointSet, subset: &Subset) -> Vec<&'a Endpoint> {
    let all: Vec<Labels<'a>> = set.endpoints().iter().map(Labels).collect();
    subset.of(&all).into_iter().map(|Labels(endpoint)| *endpoint).collect()
}
