//! Common parts of a service, opened from its settings.

use std::{
    collections::BTreeMap,
    future::Future,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use gantry_client::Channel;
use gantry_contract::{Clock, Contract, Ids, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{Issues, KeySource, TrustedKey, USERS, Verifier};
use gantry_saga::{Engine, Policy};
use gantry_server::{Fingerprints, Server, ServerBuilder};
use gantry_sql::{Database, SharedSecret, agree, requests, sagas::SagaLog};
use gantry_telemetry::{BUILD, Meter};
use tokio::task::JoinSet;

use crate::{
    OpenError, Service, ServiceSettings, StorageSettings, System, channels::Channels,
    sagas::SagaCarrier,
};

/// Common parts of a service: identity, database, channels, tasks.
///
/// Opened before the service and handed to [`Service::open`]. Closed after the service: the tasks
/// end first, then the database closes.
#[derive(Debug)]
pub struct Base {
    name: &'static str,
    contract: &'static Contract,
    server: gantry_server::Settings,
    grants: Grants,
    verifier: Arc<Verifier>,
    channels: Channels,
    storage: Option<Storage>,
    saga: Option<Policy>,
    tasks: Mutex<JoinSet<()>>,
}

/// Database, and the fingerprints of the requests recorded in it.
#[derive(Debug)]
struct Storage {
    database: Database,
    fingerprints: Option<Fingerprints>,
}

impl Base {
    /// Opens the parts that `S` declares. The meter, if any, measures calls and the database.
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
        let own_key = |key| TrustedKey { issuer: USERS.to_owned(), issues: Issues::Users, key };
        let own_keys = S::published_keys(&settings.own)?.into_iter().map(own_key);
        let verifier = Arc::new(verifier.trusting(own_keys));
        let storage = match (S::MIGRATIONS, common.storage) {
            (Some(migrations), Some(StorageSettings { database, idempotency })) => {
                let fingerprints = idempotency.as_ref().map(|it| it.fingerprints()).transpose()?;
                let mut database = Database::open(&database, migrations).await?;
                if let Some(meter) = &channels.meter {
                    database = database.measured(meter, S::NAME);
                }
                if let (Some(idempotency), Some(fingerprints)) = (&idempotency, &fingerprints) {
                    let secret = fingerprints.check_value();
                    let secret = SharedSecret::new("idempotency.key_file", secret);
                    let shared = share(&database, S::NAME, &idempotency.key_file, secret).await;
                    if let Err(error) = shared {
                        database.close().await;
                        return Err(error);
                    }
                }
                Some(Storage { database, fingerprints })
            }
            _ => None,
        };
        let base = Self {
            name: S::NAME,
            contract: S::CONTRACT.unwrap_or(&Contract::EMPTY),
            server: common.server,
            grants: identity.grants,
            verifier,
            channels,
            storage,
            saga: common.saga,
            tasks: Mutex::default(),
        };
        if base.verifier.may_learn() {
            let verifier = Arc::clone(&base.verifier);
            base.spawn(async move { match verifier.follow().await {} });
        }
        if let Some(Storage { database, fingerprints: Some(_) }) = &base.storage {
            base.spawn(requests::PURGE.keep_running(database.clone(), || System.now()));
        }
        Ok(base)
    }

    /// Returns the channel to a service of [`Service::CALLS`], configured by the settings
    /// `clients.NAME`. Readiness and `/endpoints` include it.
    ///
    /// # Errors
    /// [`OpenError::NotACallee`] for another service, [`OpenError::Channel`] if the channel cannot be
    /// built from its settings.
    pub fn channel(&self, name: &str) -> Result<Channel, OpenError> {
        self.channels.to(name)
    }

    /// Returns the database. It has the schema of [`Service::MIGRATIONS`].
    ///
    /// # Errors
    /// [`OpenError::NoDatabase`] without a schema.
    pub fn database(&self) -> Result<Database, OpenError> {
        Ok(self.storage()?.database.clone())
    }

    /// Returns the fingerprints that recognise repeated requests.
    ///
    /// # Errors
    /// [`OpenError::NoDatabase`] without a database, which would hold the request records,
    /// [`OpenError::NoContract`] without a contract, which would have the requests.
    pub fn fingerprints(&self) -> Result<Fingerprints, OpenError> {
        self.storage()?.fingerprints.clone().ok_or(OpenError::NoContract(self.name))
    }

    /// Compares a secret of the service with that of the other processes on its database. `file` is the
    /// secret's file, and the secret's name is the setting of it, below the service's table.
    ///
    /// Call it for each secret that replicas must share, before it is used. On SQLite, where there are
    /// no other processes, a secret that differs from the last one is a warning.
    ///
    /// # Errors
    /// [`OpenError::SecretDiffers`], [`OpenError::NoDatabase`] without a database,
    /// [`OpenError::Service`] if the database fails.
    pub async fn share_secret(&self, file: &Path, secret: SharedSecret) -> Result<(), OpenError> {
        share(&self.storage()?.database, self.name, file, secret).await
    }

    /// Begins the service's saga engine, with the settings `saga` and the log in the database. Its
    /// steps run in the context of the calls that began their sagas: see
    /// [`saga_context`](crate::saga_context).
    ///
    /// # Errors
    /// [`OpenError::NoSagas`] if [`Service::SAGAS`] is false, [`OpenError::NoDatabase`] if there is no
    /// schema, [`OpenError::Service`] if the log cannot be opened.
    pub async fn saga_engine(&self) -> Result<gantry_saga::Builder, OpenError> {
        let policy = self.saga.clone().ok_or(OpenError::NoSagas(self.name))?;
        let log = SagaLog::open(self.database()?).await;
        let log = log.map_err(OpenError::service("cannot open the saga log"))?;
        let engine = Engine::builder(Arc::new(log), policy).carrier(SagaCarrier::new(self.name));
        Ok(match self.meter() {
            Some(meter) => engine.measured(meter, self.name),
            None => engine,
        })
    }

    /// Returns the clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(System)
    }

    /// Returns the source of ids.
    pub fn ids(&self) -> Arc<dyn Ids> {
        Arc::new(System)
    }

    /// Returns the meter of the process, if it has one.
    pub fn meter(&self) -> Option<&Meter> {
        self.channels.meter.as_ref()
    }

    /// Runs a task until the service has closed; then the task is aborted.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }

    /// Returns the open channels.
    pub(crate) fn channels(&self) -> Vec<Channel> {
        self.channels.all()
    }

    /// Returns a server builder that lacks only the gRPC services.
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
        let Some(Storage { database, .. }) = &self.storage else { return builder };
        let database = database.clone();
        builder.readiness("database", move || {
            let database = database.clone();
            async move { database.probe().await }
        })
    }

    /// Aborts the tasks, then closes the database.
    pub(crate) async fn close(self) {
        self.tasks.into_inner().unwrap_or_else(PoisonError::into_inner).shutdown().await;
        if let Some(storage) = self.storage {
            storage.database.close().await;
        }
    }

    fn storage(&self) -> Result<&Storage, OpenError> {
        self.storage.as_ref().ok_or(OpenError::NoDatabase(self.name))
    }
}

/// Compares a secret with that of the other processes on the database.
async fn share(
    database: &Database,
    service: &'static str,
    file: &Path,
    secret: SharedSecret,
) -> Result<(), OpenError> {
    let setting = secret.name();
    let agreed = agree(database, secret).await;
    if agreed.map_err(OpenError::service("cannot compare the secrets of replicas"))? {
        return Ok(());
    }
    if database.is_shared() {
        return Err(OpenError::SecretDiffers { service, setting, file: file.to_owned() });
    }
    tracing::warn!(
        setting = format!("{service}.{setting}"),
        file = %file.display(),
        "the secret is another one than at the last start: repeated requests and tokens of before may be rejected"
    );
    Ok(())
}
