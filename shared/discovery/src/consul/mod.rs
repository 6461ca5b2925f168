//! Registration and service watches at a Consul agent.
//!
//! Rules:
//! - Each instance has a registration with an id of its own. It has a gRPC health check for each
//!   checked name, critical until the first pass, or one TTL check that it passes by itself
//!   ([`Check`]). A supervisor task keeps it registered until the [`Registration`] ends (module
//!   `supervisor`).
//! - A watch is a sequence of blocking queries for the passing instances (module `watch`). A pure
//!   state machine chooses the index and holds back doubtful answers (module `query_state`).
//! - An instance may be registered with a host name, which is looked up repeatedly. A registration
//!   without an endpoint is reported in readiness and to callers. It does not affect others.
//! - While the agent is down, slow, without a leader or without its data, watchers keep their
//!   endpoints. All operations are retried without limit.
//!
//! The ACL token needs `service:write` for registered services, and `service:read` and `node:read`
//! for watched services.
//!
//! Sources: Consul's documentation of the agent service API, the health API and blocking queries;
//! the behaviour of Consul 1.8.7, which the tests start.

mod client;
mod pace;
mod query_state;
mod requests;
mod settings;
mod supervisor;
mod token;
mod transport;
mod watch;
mod wire;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;

pub use self::settings::{Check, InvalidSettings, Settings};
use self::{client::Client, wire::ServiceId};
use crate::{
    instance::Instance,
    names::Lookup,
    registrar::{RegisterError, Registrar, Registration},
    resolver::{Resolver, Watch, Watched},
    source::Sources,
};

/// A registry at a Consul agent.
pub struct Consul {
    client: Arc<Client>,
    settings: Settings,
    sources: Sources,
    /// Random number of this start. Distinguishes its registrations from earlier ones.
    start: u32,
    registrations: AtomicU32,
}

impl Consul {
    /// Creates the registry. Reads the token file, so that a missing one is reported at once. Does
    /// not connect yet.
    ///
    /// # Errors
    /// [`InvalidSettings`] naming the first unusable key.
    pub fn new(settings: Settings) -> Result<Self, InvalidSettings> {
        let client = Arc::new(settings.client()?);
        let start = fastrand::u32(..);
        let registrations = AtomicU32::new(0);
        Ok(Self { client, settings, sources: Sources::default(), start, registrations })
    }
}

#[async_trait]
impl Registrar for Consul {
    async fn register(&self, instance: Instance) -> Result<Registration, RegisterError> {
        instance.validate()?;
        let number = self.registrations.fetch_add(1, Ordering::Relaxed);
        let id = ServiceId::new(&instance, self.start, number);
        supervisor::register(Arc::clone(&self.client), instance, id, &self.settings).await
    }
}

impl Resolver for Consul {
    fn watch(&self, service: &str) -> Watch {
        self.sources.watch(service, |publisher| {
            let watching = watch::Watching::new(
                Arc::clone(&self.client),
                service,
                Arc::clone(publisher),
                &self.settings,
                Lookup::system(),
            );
            Some(tokio::spawn(watching.run()))
        })
    }

    fn watched(&self) -> BTreeMap<String, Watched> {
        self.sources.watched()
    }
}

impl fmt::Debug for Consul {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consul").field("settings", &self.settings).finish_non_exhaustive()
    }
}
