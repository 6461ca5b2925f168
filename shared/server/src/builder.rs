//! Putting a server together.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, ready},
    sync::Arc,
};

use bytes::Bytes;
use gantry_contract::{Contract, ServicePolicy, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{KeysReport, Verifier};
use gantry_resilience::limits::{InvalidConcurrency, InvalidRate, Limiter};
use gantry_tls::InvalidTls;
use http::{Request, Response};
use opentelemetry::metrics::{Meter, MeterProvider, noop::NoopMeterProvider};
use tokio::time::Instant;
use tonic::{body::Body, codegen::StdError, server::NamedService};
use tower::Service;

use crate::{
    client::Proxies,
    connection::InfrastructureCalls,
    descriptors::{OpenFiles, TooFewFiles},
    health::{HealthService, pb::health_server::HealthServer},
    lifecycle::Lifecycle,
    measure::Measures,
    methods::{Methods, service},
    readiness::Check,
    reflection::Reflection,
    registered::Registered,
    server::Server,
    settings::{InvalidSetting, ReflectionAccess, Settings},
    stack::{Addresses, Callers, Generated, Handlers, InvalidClass, Parts, Uploads},
    tls::Security,
};

/// Why a server could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A service without policies: nobody has said who may call it.
    #[error("the service {0} is not in the contract")]
    UnknownService(&'static str),
    /// The same service twice.
    #[error("the service {0} was added twice")]
    DuplicateService(&'static str),
    /// There are methods that need credentials, and nothing to check them with.
    #[error("the method {0} needs credentials: the server needs a verifier")]
    NoVerifier(&'static str),
    /// A calling service is granted what the contract does not know: a typing error would
    /// be noticed as a refusal only.
    #[error("the permission {permission} that {service} is granted is not in the contract")]
    UnknownPermission {
        /// Who is granted it.
        service: String,
        /// What is granted.
        permission: String,
    },
    /// The contract's descriptors are damaged.
    #[error("the contract cannot be served by reflection: {0}")]
    Reflection(#[from] prost::DecodeError),
    /// A limit cannot be.
    #[error("the rate class {0} cannot be: {1}")]
    RateClass(String, InvalidRate),
    /// The limit of calls at once cannot be.
    #[error("the setting concurrency: {0}")]
    Concurrency(#[from] InvalidConcurrency),
    /// A setting cannot be.
    #[error("the setting {0}")]
    Setting(InvalidSetting),
    /// The process may not open enough files for its connections.
    #[error(transparent)]
    OpenFiles(#[from] TooFewFiles),
    /// A certificate or a key cannot be used.
    #[error("the setting tls.{0}")]
    Tls(#[from] InvalidTls),
}

/// Collects what a server is made of; see [`Server::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct ServerBuilder {
    name: String,
    contract: &'static Contract,
    services: Vec<&'static ServicePolicy>,
    /// Those of each service, in the same order.
    handlers: Vec<Box<dyn Handlers>>,
    /// The first mistake made with `service`, told by `build`.
    mistake: Option<BuildError>,
    settings: Settings,
    version: String,
    verifier: Option<Arc<Verifier>>,
    grants: Grants,
    registry: Option<Registry>,
    meter: Option<Meter>,
    checks: Vec<Check>,
}

impl Server {
    /// Starts a server of the service `name` (as callers look for it), whose gRPC
    /// services and their policies are in `contract`.
    pub fn builder(name: &str, contract: &'static Contract) -> ServerBuilder {
        ServerBuilder {
            name: name.to_owned(),
            contract,
            services: Vec::new(),
            handlers: Vec::new(),
            mistake: None,
            settings: Settings::default(),
            version: String::new(),
            verifier: None,
            grants: Grants::new(),
            registry: None,
            meter: None,
            checks: Vec::new(),
        }
    }
}

impl ServerBuilder {
    /// Serves one of the contract's services: what tonic generated, around the handlers.
    pub fn service<S, B>(mut self, handlers: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        let added = self.services.iter().any(|added| added.name == S::NAME);
        match service(self.contract, S::NAME) {
            Some(_) if added => {
                self.mistake.get_or_insert(BuildError::DuplicateService(S::NAME));
            }
            Some(policy) => {
                self.services.push(policy);
                self.handlers.push(Box::new(Generated(handlers)));
            }
            None => {
                self.mistake.get_or_insert(BuildError::UnknownService(S::NAME));
            }
        }
        self
    }

    /// How it makes itself known, what it takes and how it ends.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The program's version, told to the registry.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Checks the tokens that callers bring. Needed where any method is not public.
    pub fn verifier(mut self, verifier: Arc<Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// What calling services may do. Default: nothing.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Where it makes itself known while it serves. Default: nowhere.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Counts and measures its calls, what it refuses, its connections and its limits, as
    /// docs/METRICS.md lists them. Default: nobody does.
    ///
    /// Whatever is no method of this server is one there: `other`.
    pub fn meter(mut self, meter: Option<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// A dependency without which it is not ready, and how to ask whether it is
    /// there. An answer after 3 s counts as none.
    pub fn readiness<F, Fut, E>(mut self, name: &str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.checks.push(Check::new(name, check));
        self
    }

    /// The server.
    ///
    /// # Errors
    /// [`BuildError`] where the parts do not make one.
    pub fn build(mut self) -> Result<Server, BuildError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        if let Some(problem) = self.settings.problems(self.contract).into_iter().next() {
            return Err(BuildError::Setting(problem));
        }
        OpenFiles::current().share([(&mut self.settings.connections, 1)])?;
        let security = Security::load(self.settings.tls.as_ref())?;
        if let Some(verifier) = &self.verifier {
            self.checks.extend(keys_known(verifier));
        }
        let methods = Methods::new(&self.services, self.settings.reflection);
        if let Some(restricted) = methods.restricted()
            && self.verifier.is_none()
        {
            return Err(BuildError::NoVerifier(restricted.name()));
        }
        check_grants(&self.grants, self.contract)?;
        let limits = &self.settings.limits;
        let addresses = Addresses::new(limits)
            .map_err(|error| BuildError::RateClass("per_address".to_owned(), error))?;
        let callers = Callers::new(self.contract, limits)
            .map_err(|InvalidClass(class, error)| BuildError::RateClass(class, error))?;
        let concurrency = self.settings.concurrency.config()?;
        let limiter = Limiter::new(concurrency, methods.len(), Instant::now());
        let meter = self.meter.unwrap_or_else(|| NoopMeterProvider::new().meter("nobody"));
        let measures = Measures::new(meter, &methods, self.contract);
        let lifecycle = Lifecycle::new();
        let names = || self.services.iter().map(|service| service.name);
        // In the order of `Methods`.
        let health = HealthServer::new(HealthService::new(names(), lifecycle.watch()));
        self.handlers.push(Box::new(Generated(health)));
        if self.settings.reflection != ReflectionAccess::Off {
            let reflection = Reflection::new(names(), self.contract.descriptor_set)?;
            self.handlers.push(Box::new(reflection.clone()));
            self.handlers.push(Box::new(reflection));
        }
        let names = names().collect();
        Ok(Server {
            name: self.name,
            version: self.version,
            names,
            parts: Parts {
                services: self.handlers.into(),
                methods: Arc::new(methods),
                contract: self.contract,
                verifier: self.verifier,
                grants: Arc::new(self.grants),
                max_message_bytes: self.settings.max_message_bytes,
                compression: self.settings.compression,
                measures: Arc::new(measures),
                proxies: Arc::new(Proxies::new(&self.settings.limits)),
                addresses: Arc::new(addresses),
                infrastructure: Arc::new(InfrastructureCalls::new(&self.settings.infrastructure)),
                uploads: Arc::new(Uploads::new(&self.settings.uploads)),
                limiter,
                callers: Arc::new(callers),
            },
            settings: self.settings,
            security,
            registered: self.registry.map(Registered::new),
            lifecycle,
            checks: self.checks.into(),
            needs: Vec::new(),
        })
    }
}

/// Each issuer whose keys are published elsewhere: until one is known, everybody who comes with
/// its tokens is turned away. Not required: docs/decisions/0015.
fn keys_known(verifier: &Arc<Verifier>) -> impl Iterator<Item = Check> {
    verifier.published_keys().into_iter().enumerate().map(|(number, known)| {
        let verifier = Arc::clone(verifier);
        Check::new(&format!("keys of {}", known.issuer), move || {
            // The lists of a verifier stay the same, what is in them does not.
            ready(verifier.published_keys().get(number).map_or(Ok(()), KeysReport::ready))
        })
        .optional()
    })
}

fn check_grants(grants: &Grants, contract: &Contract) -> Result<(), BuildError> {
    match contract.unknown_grants(grants).next() {
        None => Ok(()),
        Some((service, permission)) => Err(BuildError::UnknownPermission {
            service: service.to_owned(),
            permission: permission.to_owned(),
        }),
    }
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
