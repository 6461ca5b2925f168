//! What every service has, opened from the common settings.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use gantry_client::Channel;
use gantry_contract::{Clock, Contract, Ids, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{KeySource, Verifier};
use gantry_server::{Fingerprints, Server, ServerBuilder};
use gantry_sql::{Sqlite, requests};
use gantry_telemetry::{BUILD, Meter};
use tokio::task::JoinSet;

use crate::{OpenError, Service, ServiceSettings, System, channels::Channels};

/// What every service has: identity, database, channels, tasks.
///
/// [`Service::open`] takes from it what the service needs. It is closed after the service: first
/// its tasks end, then the database is closed.
#[derive(Debug)]
pub struct Base {
    name: &'static str,
    contract: &'static Contract,
    server: gantry_server::Settings,
    grants: Grants,
    verifier: Arc<Verifier>,
    channels: Channels,
    data: Option<Data>,
    tasks: Mutex<JoinSet<()>>,
}

/// The database, and what marks the requests that are recorded in it.
#[derive(Debug)]
struct Data {
    database: Sqlite,
    fingerprints: Fingerprints,
}

impl Base {
    /// Opens everything that `S` says it needs. Calls are measured with the meter, if there is
    /// one.
    pub(crate) async fn open<S: Service>(
        settings: &ServiceSettings<S>,
        registry: Registry,
        meter: Option<Meter>,
    ) -> Result<Self, OpenError> {
        let common = settings.common.clone();
        let identity = common.identity;
        let signer = match S::CALLS {
            [] => None,
            _ => Some(Arc::new(identity.signer(S::NAME)?)),
        };
        let channels = Channels {
            service: S::NAME,
            calls: S::CALLS,
            settings: common.clients,
            registry,
            signer,
            meter,
            open: Mutex::default(),
        };
        let publishers = S::KEYS.iter().flat_map(|api| {
            let source = |name| Ok((name, channels.keys(api, name)?));
            identity.publishers().into_iter().map(source)
        });
        let sources: BTreeMap<&str, KeySource> = publishers.collect::<Result<_, OpenError>>()?;
        let verifier = identity.verifier(S::NAME, |name| sources.get(name).cloned())?;
        let verifier = Arc::new(verifier.trusting(S::trusted(&settings.own)?));
        let data = match S::MIGRATIONS {
            Some(migrations) => Some(Data {
                fingerprints: common.idempotency.fingerprints()?,
                database: Sqlite::open(&common.database, migrations).await?,
            }),
            None => None,
        };
        let base = Self {
            name: S::NAME,
            contract: S::CONTRACT,
            server: common.server,
            grants: identity.grants,
            verifier,
            channels,
            data,
            tasks: Mutex::default(),
        };
        if base.verifier.may_learn() {
            let verifier = Arc::clone(&base.verifier);
            base.spawn(async move { match verifier.follow().await {} });
        }
        if let Some(data) = &base.data {
            base.spawn(requests::PURGE.keep_running(data.database.clone(), || System.now()));
        }
        Ok(base)
    }

    /// Returns the channel to a service of [`Service::CALLS`]: it signs, measures and waits as the
    /// settings below `clients` say. Readiness and `/endpoints` show it.
    ///
    /// # Errors
    /// [`OpenError`] if the service is not one of these, or its settings make no channel.
    pub fn channel(&self, name: &str) -> Result<Channel, OpenError> {
        self.channels.to(name)
    }

    /// Returns the database, which has the schema of [`Service::MIGRATIONS`].
    ///
    /// # Errors
    /// [`OpenError::NoDatabase`] if there is no schema.
    pub fn database(&self) -> Result<Sqlite, OpenError> {
        Ok(self.data()?.database.clone())
    }

    /// Returns what recognises repeated requests by their records in the database.
    ///
    /// # Errors
    /// [`OpenError::NoDatabase`] if there is none.
    pub fn fingerprints(&self) -> Result<Fingerprints, OpenError> {
        Ok(self.data()?.fingerprints.clone())
    }

    /// Returns the clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(System)
    }

    /// Returns the source of ids.
    pub fn ids(&self) -> Arc<dyn Ids> {
        Arc::new(System)
    }

    /// Returns the meter, if anything is measured.
    pub fn meter(&self) -> Option<&Meter> {
        self.channels.meter.as_ref()
    }

    /// Runs a task until the service has closed.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Returns the channels that were opened.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.channels.all()
    }

    /// Starts a server that has everything but its gRPC services.
    pub(crate) fn server(&self) -> ServerBuilder {
        let mut builder = Server::builder(self.name, self.contract)
            .settings(self.server.clone())
            .version(BUILD.version)
            .verifier(Arc::clone(&self.verifier))
            .grants(self.grants.clone())
            .registry(self.channels.registry.clone());
        if let Some(meter) = self.meter() {
            builder = builder.meter(meter.clone());
        }
        let Some(Data { database, .. }) = &self.data else { return builder };
        let database = database.clone();
        builder.readiness("database", move || {
            let database = database.clone();
            async move { database.probe().await }
        })
    }

    /// Ends the tasks, then closes the database.
    pub(crate) async fn close(self) {
        self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner).shutdown().await;
        if let Some(data) = self.data {
            data.database.close().await;
        }
    }

    fn data(&self) -> Result<&Data, OpenError> {
        self.data.as_ref().ok_or(OpenError::NoDatabase(self.name))
    }
}
