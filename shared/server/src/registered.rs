//! Registration of a server, and the state of the services that its process watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use gantry_discovery::{Registration, RegistrationState, Registry, Watched};
use serde::Serialize;
use tokio::time::Instant;

type Stating = Arc<dyn Fn() -> RegistrationState + Send + Sync>;

/// Registry of a server, and the server's registration once it has started. Clones share both.
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

    /// Stores the registration. The registry may not have confirmed it yet.
    pub(crate) fn set(&self, registration: &Registration) {
        // A server registers only once.
        let _ = self.stating.set(registration.stating());
    }

    /// Returns true if the server is as ready as the registry requires.
    pub(crate) fn suffices(&self, report: &RegistryReport) -> bool {
        report.registered || self.registry.ready_unregistered
    }

    pub(crate) fn report(&self) -> RegistryReport {
        let error = match self.stating.get().map(|stating| stating()) {
            Some(RegistrationState::Registered) => None,
            Some(RegistrationState::Retrying { why }) => Some(why),
            None => Some("registration not started".to_owned()),
        };
        let now = Instant::now();
        let watched = self.registry.resolver.watched().into_iter();
        let watched = watched.map(|(service, watched)| (service, WatchReport::of(&watched, now)));
        RegistryReport { registered: error.is_none(), error, watched: watched.collect() }
    }
}

/// State of a server's registration.
#[derive(Clone, Debug, Serialize)]
pub struct RegistryReport {
    /// True if the registry knows the server.
    pub registered: bool,
    /// Error if the registry does not know the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Services that the process watches in the registry. A stale one does not affect readiness:
    /// its last endpoints stay in use.
    pub watched: BTreeMap<String, WatchReport>,
}

/// Endpoints of one watched service, and how current they are.
#[derive(Clone, Debug, Serialize)]
pub struct WatchReport {
    /// `live` while the registry answers, `stale` if it answered before, `pending` if it never did.
    pub state: &'static str,
    /// Number of endpoints that the registry lists.
    pub known: usize,
    /// Registrations without an endpoint, and the reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unusable: Option<String>,
    /// Time since the registry last confirmed the endpoints, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_millis: Option<u128>,
    /// Reason if the registry does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl RegistryReport {
    /// Returns true if the registry knows the server and every registration has an endpoint.
    pub(crate) fn is_whole(&self) -> bool {
        self.registered && self.watched.values().all(|watched| watched.unusable.is_none())
    }
}

impl WatchReport {
    fn of(watched: &Watched, now: Instant) -> Self {
        let Watched { status, endpoints, unusable } = watched;
        Self {
            state: status.as_str(),
            known: *endpoints,
            unusable: unusable.as_deref().map(str::to_owned),
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
