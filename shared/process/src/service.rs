//! The trait that a team implements for its service.

use std::{future::Future, path::PathBuf};

use gantry_client::{BuildError, Channel};
use gantry_contract::Contract;
use gantry_identity::{KeyError, KeySource, PublicKey};
use gantry_server::ServerBuilder;
use gantry_sql::Migrations;

use crate::{Base, OwnSettings};

/// A service: its needs, and how it opens, serves and closes.
///
/// [`Base`] has the parts that all services share. It opens before the service and closes after it.
pub trait Service: Sized + Send + Sync + 'static {
    /// Name in the registry and of the table of settings.
    const NAME: &'static str;

    /// Purpose, shown by `--help`.
    const ABOUT: &'static str;

    /// Served contract. None: no gRPC services, so no callers to identify and no request records. The
    /// settings `identity.trusted` may be empty, and `idempotency` is an unknown key. Health checks,
    /// registration, admin pages and calls to other services are the same.
    const CONTRACT: Option<&'static Contract> = None;

    /// Defaults in TOML: its own keys, and the common ones that differ.
    const DEFAULTS: &'static str;

    /// Called services. [`Base::channel`] opens channels to no others.
    const CALLS: &'static [Callee] = &[];

    /// Schema of its database. None: no database, no request records, and the settings `database`
    /// and `idempotency` are unknown keys. The schema has
    /// [`requests::TABLES`](gantry_sql::requests::TABLES) if there is a contract.
    const MIGRATIONS: Option<&'static Migrations> = None;

    /// True if the service drives sagas: only then it has the settings `saga`, which
    /// [`Base::saga_engine`] uses.
    const SAGAS: bool = false;

    /// API for fetching the keys that `identity.trusted` names with `jwks`.
    const KEYS: Option<KeysApi> = None;

    /// Settings besides the common ones; [`NoSettings`](crate::NoSettings) if there are none.
    type Settings: OwnSettings;

    /// Returns the public keys of user tokens that the service itself publishes. It trusts them
    /// besides those of `identity.trusted`. Default: none.
    ///
    /// # Errors
    /// [`KeyError`] if a key cannot be read.
    fn published_keys(settings: &Self::Settings) -> Result<Vec<PublicKey>, KeyError> {
        let _no_keys = settings;
        Ok(Vec::new())
    }

    /// Opens the service.
    ///
    /// # Errors
    /// [`OpenError`]. The base is closed afterwards.
    fn open(
        base: &Base,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;

    /// Adds the gRPC services to a server. Called once per replica in the process.
    fn serve(&self, server: ServerBuilder) -> ServerBuilder;

    /// Finishes its work and closes its own resources. The servers have drained before; the tasks
    /// end and the database closes afterwards.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }
}

/// A called service.
#[derive(Clone, Copy, Debug)]
pub struct Callee {
    /// Name under which it is registered.
    pub name: &'static str,
    /// Its contract.
    pub contract: &'static Contract,
}

impl Callee {
    /// Creates a callee with this name in the registry.
    pub const fn new(name: &'static str, contract: &'static Contract) -> Self {
        Self { name, contract }
    }
}

/// API with which a service publishes its signing keys.
#[derive(Clone, Copy, Debug)]
pub struct KeysApi {
    /// Publishing service. Operators may register it under another name.
    pub publisher: Callee,
    /// Name of the gRPC service in the contract.
    pub grpc_service: &'static str,
    /// Makes a source that fetches the keys through a channel.
    pub fetch: fn(Channel) -> KeySource,
}

/// Failure to open a service.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A key cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] gantry_sql::OpenError),
    /// A channel cannot be built from the settings.
    #[error("{service}.clients.{callee}: {source}")]
    Channel {
        /// The calling service.
        service: &'static str,
        /// The called service.
        callee: String,
        /// The cause.
        source: BuildError,
    },
    /// The service opens a channel to a service that it does not declare.
    #[error("{service} calls {callee}, which is not in its Service::CALLS")]
    NotACallee {
        /// The calling service.
        service: &'static str,
        /// The called service.
        callee: String,
    },
    /// The service uses a database without declaring its schema.
    #[error("{0} has no database: its Service::MIGRATIONS is None")]
    NoDatabase(&'static str),
    /// The other processes on the database use another secret.
    #[error(
        "{service}.{setting}: {} holds another secret than that of the other processes on this \
         database. Copy their file. To replace the secret everywhere, see \
         docs/OPERATIONS.md#secrets-that-replicas-share",
        file.display()
    )]
    SecretDiffers {
        /// The service.
        service: &'static str,
        /// Setting of the secret's file, below the service's table.
        setting: &'static str,
        /// The file.
        file: PathBuf,
    },
    /// The service recognises repeated requests without declaring a contract.
    #[error("{0} has no request records: its Service::CONTRACT is None")]
    NoContract(&'static str),
    /// The service uses the settings of sagas without declaring sagas.
    #[error("{0} has no settings of sagas: its Service::SAGAS is false")]
    NoSagas(&'static str),
    /// The service itself failed.
    #[error("{what}: {source}")]
    Service {
        /// Failed action: "cannot hash passwords".
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    /// Wraps the cause of a service's own failure; `what` names the failed action.
    pub fn service<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Service { what, source: source.into() }
    }
}
