//! What a registry knows of a server, and the server of the services that it watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use gantry_discovery::{Registration, RegistrationState, Registry, Watched};
use serde::Serialize;
use tokio::time::Instant;

type Stating = Arc<dyn Fn() -> RegistrationState + Send + Sync>;

/// The registry of a server, once it has been told of it. Clones share that.
#[derive(Clone)]
pub(crate) struct Registered {
    registry: Registry,
    stating: Arc<OnceLock<Stating>>,
}

impl Registered {
    pub(crate) fn new(registry: Registry) -> Self {
        Self { registry, stating: Arc::default() }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The registry was told; it may still not know.
    pub(crate) fn told(&self, registration: &Registration) {
        // A server registers once in its life.
        let _ = self.stating.set(registration.stating());
    }

    /// Whether a server is as ready as the registry demands.
    pub(crate) fn suffices(&self, report: &RegistryReport) -> bool {
        report.registered || self.registry.ready_unregistered
    }

    pub(crate) fn report(&self) -> RegistryReport {
        let error = match self.stating.get().map(|stating| stating()) {
            Some(RegistrationState::Registered) => None,
            Some(RegistrationState::Retrying { why }) => Some(why),
            None => Some("not yet asked".to_owned()),
        };
        let now = Instant::now();
        let watched = self.registry.resolver.watched().into_iter();
        let watched = watched.map(|(service, watched)| (service, WatchReport::of(&watched, now)));
        RegistryReport { registered: error.is_none(), error, watched: watched.collect() }
    }
}

/// What a server says of its registry.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryReport {
    /// Whether it knows the server.
    pub registered: bool,
    /// Why it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The services that the process watches there. One that is stale makes nobody
    /// unready: the last endpoints are kept.
    pub watched: BTreeMap<String, WatchReport>,
}

/// Endpoints of one watched service, and how far they can be trusted.
#[derive(Clone, Debug, Serialize)]
pub struct WatchReport {
    /// Whether the registry answers (`live`), did (`stale`), or never did (`pending`).
    pub state: &'static str,
    /// Number of endpoints that the registry lists.
    pub known: usize,
    /// Registrations that gave no endpoint, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
    /// How long ago it last confirmed the endpoints, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_millis: Option<u128>,
    /// Why it does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RegistryReport {
    /// Returns if it knows the server, and every registration gave an endpoint.
    pub(crate) fn is_whole(&self) -> bool {
        self.registered && self.watched.values().all(|watched| watched.left_out.is_none())
    }
}

impl WatchReport {
    fn of(watched: &Watched, now: Instant) -> Self {
        let Watched { status, endpoints, left_out } = watched;
        Self {
            state: status.as_str(),
            known: *endpoints,
            left_out: left_out.as_deref().map(str::to_owned),
            age_millis: status.age(now).map(|age| age.as_millis()),
            error: status.why().map(str::to_owned),
        }
    }
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registered").field("report", &self.report()).finish_non_exhaustive()
    }
}
