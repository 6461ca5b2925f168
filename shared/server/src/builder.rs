//! Builder of a server.

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
use gantry_resilience::limits::Limiter;
use http::{Request, Response};
use opentelemetry::metrics::{Meter, MeterProvider, noop::NoopMeterProvider};
use tokio::time::Instant;
use tonic::{body::Body, codegen::StdError, server::NamedService};
use tower::{Layer, Service};

use crate::{
    build_error::{BuildError, BuildProblem},
    client::Proxies,
    connection::InfrastructureCalls,
    descriptors::OpenFiles,
    health::{HealthService, pb::health_server::HealthServer},
    lifecycle::{Drain, Lifecycle},
    measure::Measures,
    methods::{Methods, service},
    readiness::Check,
    reflection::Reflection,
    registered::Registered,
    server::Server,
    settings::{ReflectionAccess, Settings},
    stack::{
        Addresses, Callers, Generated, Handler, Handlers, InvalidClass, Layers, Parts, Uploads,
    },
    tls::Security,
};

/// Handlers of a service, without the layers around them.
type Unlayered = Box<dyn FnOnce(&Layers) -> Box<dyn Handlers> + Send>;

/// Builder of a [`Server`]; see [`Server::builder`].
#[must_use = "a builder does nothing until it is built"]
pub struct ServerBuilder {
    name: String,
    contract: &'static Contract,
    services: Vec<&'static ServicePolicy>,
    /// Handlers of each service, in the order of `services`, until all layers are known.
    handlers: Vec<Unlayered>,
    layers: Layers,
    /// Problems found by `service`.
    problems: Vec<BuildProblem>,
    settings: Settings,
    version: String,
    verifier: Option<Arc<Verifier>>,
    grants: Grants,
    registry: Option<Registry>,
    meter: Option<Meter>,
    checks: Vec<Check>,
    lifecycle: Lifecycle,
}

impl Server {
    /// Returns a builder for the service `name`, the name that callers look up. `contract` has its
    /// gRPC services and their policies.
    pub fn builder(name: &str, contract: &'static Contract) -> ServerBuilder {
        ServerBuilder {
            name: name.to_owned(),
            contract,
            services: Vec::new(),
            handlers: Vec::new(),
            layers: Layers::default(),
            problems: Vec::new(),
            settings: Settings::default(),
            version: String::new(),
            verifier: None,
            grants: Grants::new(),
            registry: None,
            meter: None,
            checks: Vec::new(),
            lifecycle: Lifecycle::new(),
        }
    }
}

impl ServerBuilder {
    /// Adds one of the contract's services: a tonic-generated server around the handlers.
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
                self.problems.push(BuildProblem::DuplicateService(S::NAME));
            }
            Some(policy) => {
                self.services.push(policy);
                self.handlers.push(Box::new(|layers| layers.around(handlers)));
            }
            None => self.problems.push(BuildProblem::UnknownService(S::NAME)),
        }
        self
    }

    /// Adds a layer around the handlers of all services of the contract. The first layer added is
    /// the outermost. Health and reflection are not wrapped.
    ///
    /// The layer sees the same calls as the handlers: authenticated, authorized, within all limits
    /// and complete. Their messages are still as received: neither decoded nor validated. The
    /// request's extensions hold the caller ([`Authorized`](gantry_contract::Authorized), with its
    /// scope) and the method (`&'static` [`MethodPolicy`](gantry_contract::MethodPolicy)). The
    /// server also counts and logs calls that the layer refuses, ends them at their deadline and
    /// catches panics of the layer. Calls that the layer makes to other services inherit the
    /// deadline and the caller.
    ///
    /// A layer has no error type. To refuse a call, it returns a response with a status
    /// ([`Status::into_http`](tonic::Status::into_http)).
    ///
    /// ```
    /// # #[expect(non_snake_case)]
    /// # fn example(CONTRACT: &'static gantry_contract::Contract) -> gantry_server::ServerBuilder {
    /// use gantry_contract::Authorized;
    /// use tonic::{Request, Status, service::InterceptorLayer};
    ///
    /// let no_robots = |request: Request<()>| match request.extensions().get::<Authorized>() {
    ///     Some(authorized) if authorized.caller.subject() == "service:robot" => {
    ///         Err(Status::permission_denied("no robots"))
    ///     }
    ///     _ => Ok(request),
    /// };
    /// gantry_server::Server::builder("greeter", CONTRACT).layer(InterceptorLayer::new(no_robots))
    /// # }
    /// ```
    pub fn layer<L, B>(mut self, layer: L) -> Self
    where
        L: Layer<Handler> + Send + Sync + 'static,
        L::Service: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
        B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
    {
        self.layers.add(layer);
        self
    }

    /// Sets the [`Settings`]. Default: [`Settings::default`].
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Sets the program's version, which is sent to the registry.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Sets the verifier of callers' tokens. Required if any method is not public.
    pub fn verifier(mut self, verifier: Arc<Verifier>) -> Self {
        self.verifier = Some(verifier);
        self
    }

    /// Sets the permissions of calling services. Default: none.
    pub fn grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Sets the registry in which the server registers while it serves. Default: none.
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Sets the meter for the metrics in docs/METRICS.md: calls, refusals, connections and limits.
    /// Default: metrics are not recorded.
    ///
    /// Calls of unknown methods are recorded as the method `other`.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// Adds a dependency without which the server is not ready, and its check. A check that takes
    /// longer than 3 s fails.
    pub fn readiness<F, Fut, E>(mut self, name: &str, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display,
    {
        self.checks.push(Check::new(name, check));
        self
    }

    /// Returns a handle with which handlers can end their waits when the drain begins.
    pub fn drain(&self) -> Drain {
        Drain(self.lifecycle.watch())
    }

    /// Builds the server.
    ///
    /// # Errors
    /// [`BuildError`] with every problem found.
    pub fn build(mut self) -> Result<Server, BuildError> {
        let mut problems = self.problems;
        let methods = Methods::new(&self.services, self.settings.reflection);
        if let Some(restricted) = methods.restricted()
            && self.verifier.is_none()
        {
            problems.push(BuildProblem::NoVerifier(restricted.name()));
        }
        problems.extend(unknown_grants(&self.grants, self.contract));
        let invalid = self.settings.problems(self.contract);
        problems.extend(invalid.into_iter().map(BuildProblem::Setting));
        let names: Vec<_> = self.services.iter().map(|service| service.name).collect();
        let reflection = (self.settings.reflection != ReflectionAccess::Off)
            .then(|| Reflection::new(names.iter().copied(), self.contract.descriptor_set));
        let reflection = keep(&mut problems, reflection.transpose());
        let security = keep(&mut problems, Security::load(self.settings.tls.as_ref()));
        let shared = OpenFiles::current().share([(&mut self.settings.connections, 1)]);
        let (Some(()), Some(security), Some(reflection), true) =
            (keep(&mut problems, shared), security, reflection, problems.is_empty())
        else {
            return Err(BuildError { problems });
        };

        let limits = &self.settings.limits;
        let addresses = Addresses::new(limits)
            .map_err(|error| BuildProblem::RateClass("per_address".to_owned(), error))?;
        let callers = Callers::new(self.contract, limits)
            .map_err(|InvalidClass(class, error)| BuildProblem::RateClass(class, error))?;
        let concurrency = self.settings.concurrency.config().map_err(BuildProblem::from)?;
        let limiter = Limiter::new(concurrency, methods.len(), Instant::now());
        let meter = self.meter.unwrap_or_else(|| NoopMeterProvider::new().meter("nobody"));
        let measures = Measures::new(meter, &methods, self.contract);
        if let Some(verifier) = &self.verifier {
            self.checks.extend(keys_known(verifier));
        }
        let lifecycle = self.lifecycle;
        let mut handlers: Vec<_> =
            self.handlers.into_iter().map(|handlers| handlers(&self.layers)).collect();
        // The order must be that of `Methods`.
        let health = HealthService::new(names.iter().copied(), lifecycle.watch());
        handlers.push(Box::new(Generated(HealthServer::new(health))));
        if let Some(reflection) = reflection {
            handlers.push(Box::new(reflection.clone()));
            handlers.push(Box::new(reflection));
        }
        let service = self.name.as_str().into();
        Ok(Server {
            name: self.name,
            version: self.version,
            names,
            parts: Parts {
                service,
                services: handlers.into(),
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

/// Returns the value, or adds the error to the problems.
fn keep<T, E: Into<BuildProblem>>(
    problems: &mut Vec<BuildProblem>,
    result: Result<T, E>,
) -> Option<T> {
    result.map_err(|error| problems.push(error.into())).ok()
}

/// Returns one check per issuer with remote keys: until its first key is fetched, all of its tokens
/// are rejected. The checks are optional, see docs/decisions/0015.
fn keys_known(verifier: &Arc<Verifier>) -> impl Iterator<Item = Check> {
    verifier.published_keys().into_iter().enumerate().map(|(number, known)| {
        let verifier = Arc::clone(verifier);
        Check::new(&format!("keys of {}", known.issuer), move || {
            // The number of lists in a verifier is fixed; their content changes.
            ready(verifier.published_keys().get(number).map_or(Ok(()), KeysReport::ready))
        })
        .optional()
    })
}

fn unknown_grants(grants: &Grants, contract: &Contract) -> Vec<BuildProblem> {
    let unknown = contract.unknown_grants(grants);
    unknown
        .map(|(service, permission)| BuildProblem::UnknownPermission {
            service: service.to_owned(),
            permission: permission.to_owned(),
        })
        .collect()
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}
