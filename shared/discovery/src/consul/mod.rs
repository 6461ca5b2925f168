//! Registers at a Consul agent and watches services through it.
//!
//! Rules:
//! - an instance is registered under an id of its own with a gRPC health check for
//!   each of its names, critical until the first pass, or with one that it passes by
//!   itself before its time to live ends ([`Check`]); a supervisor task keeps it
//!   registered until the [`Registration`] ends (module `supervisor`);
//! - a watch is a chain of blocking queries for the passing instances (module `watch`),
//!   whose index and doubts are judged by a pure state machine (module `follower`);
//! - an instance may be registered with a host name, which is looked up again and again; a
//!   registration that gives no endpoint is told, in readiness and to callers, and hides no other;
//! - the agent being down, slow, leaderless or without its data keeps what watchers
//!   have; nothing here gives up.
//!
//! The ACL token needs `service:write` for the services registered, and
//! `service:read` and `node:read` for those watched.
//!
//! Sources: Consul's documentation of the agent service and health HTTP API and of
//! blocking queries; the behaviour of Consul 1.8.7, which the tests start.

mod client;
mod follower;
mod pace;
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

/// A registry that is a Consul agent.
pub struct Consul {
    client: Arc<Client>,
    settings: Settings,
    sources: Sources,
    /// Tells the registrations of this start from those of an earlier one.
    start: u32,
    registrations: AtomicU32,
}

impl Consul {
    /// Reads the token file, so that a missing one is found at once; connects to
    /// nothing yet.
    ///
    /// # Errors
    /// [`InvalidSettings`] naming the first key that is wrong.
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
