//! What a team writes of a service.

use std::future::Future;

use gantry_client::{BuildError, Channel};
use gantry_contract::Contract;
use gantry_identity::{KeyError, KeySource, TrustedKey};
use gantry_server::ServerBuilder;
use gantry_sql::Migrator;

use crate::{Base, OwnSettings};

/// A service: how it is opened, what it serves, how it is closed.
///
/// What all services have in common is in [`Base`]: it is open before the service and closed
/// after it.
pub trait Service: Sized + Send + Sync + 'static {
    /// Name by which callers look for it. Also the name of its table of settings.
    const NAME: &'static str;

    /// Purpose, as `--help` says it.
    const ABOUT: &'static str;

    /// Contract that it serves.
    const CONTRACT: &'static Contract;

    /// Defaults in TOML: its own keys, and the common ones that differ.
    const DEFAULTS: &'static str;

    /// Services that it calls: [`Base::channel`] opens a channel to these alone.
    const CALLS: &'static [Callee] = &[];

    /// Schema of its database. Without one it has neither a database nor request records.
    const MIGRATIONS: Option<&'static Migrator> = None;

    /// API from which the keys are fetched that `identity.trusted` names with `jwks`.
    const KEYS: Option<KeysApi> = None;

    /// Its own keys of settings; [`NoSettings`](crate::NoSettings) if the common ones are all.
    type Settings: OwnSettings;

    /// Returns keys that it trusts besides those of `identity.trusted`: none by default.
    ///
    /// # Errors
    /// [`KeyError`] if a key cannot be read.
    fn trusted(settings: &Self::Settings) -> Result<Vec<TrustedKey>, KeyError> {
        let _no_keys = settings;
        Ok(Vec::new())
    }

    /// Opens it.
    ///
    /// # Errors
    /// [`OpenError`]; the base is closed then.
    fn open(
        base: &Base,
        settings: Self::Settings,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;

    /// Adds its gRPC services to a server. Called once for each replica in the process.
    fn serve(&self, server: ServerBuilder) -> ServerBuilder;

    /// Finishes what it has begun and closes what it has opened itself. Its servers have drained
    /// before; its tasks and its database are closed afterwards.
    fn close(self) -> impl Future<Output = ()> + Send {
        async { drop(self) }
    }
}

/// A service that another one calls.
#[derive(Clone, Copy, Debug)]
pub struct Callee {
    /// Name under which it is registered.
    pub name: &'static str,
    /// Contract by which it is called.
    pub contract: &'static Contract,
}

impl Callee {
    /// A service of this name, called by this contract.
    pub const fn new(name: &'static str, contract: &'static Contract) -> Self {
        Self { name, contract }
    }
}

/// API over which a service publishes the keys that it signs with.
#[derive(Clone, Copy, Debug)]
pub struct KeysApi {
    /// The service that has it. Operators may give it another name.
    pub publisher: Callee,
    /// Name of the gRPC service in the contract.
    pub grpc_service: &'static str,
    /// Fetches the keys through a channel.
    pub fetch: fn(Channel) -> KeySource,
}

/// Reason for which a service was not opened.
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
        /// The called one.
        callee: String,
        /// The cause.
        source: BuildError,
    },
    /// The service calls another one that it does not name.
    #[error("{service} calls {callee}, which is not in its Service::CALLS")]
    NotACallee {
        /// The calling service.
        service: &'static str,
        /// The called one.
        callee: String,
    },
    /// The service uses a database and has no schema for it.
    #[error("{0} has no database: its Service::MIGRATIONS is None")]
    NoDatabase(&'static str),
    /// The service itself failed.
    #[error("{what}: {source}")]
    Service {
        /// What it could not do.
        what: &'static str,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    /// Makes the failure of the service itself of its cause: `what` it could not do.
    pub fn service<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        what: &'static str,
    ) -> impl FnOnce(E) -> Self {
        move |source| Self::Service { what, source: source.into() }
    }
}
