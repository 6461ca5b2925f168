//! Builder of a channel.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicBool},
};

use gantry_contract::Contract;
use gantry_discovery::Registry;
use gantry_identity::ServiceSigner;
use gantry_tls::InvalidTls;
use http::uri;
use opentelemetry::metrics::Meter;
use tower::{
    Layer, ServiceBuilder,
    layer::util::{Identity, Stack},
};

use crate::{
    channel::{Channel, Inner},
    covers,
    health::Health,
    measure::{self, Measures},
    metrics::Metrics,
    policy::Methods,
    pool::{Pool, Tls},
    settings::{ClientSettings, InvalidSetting},
    snapshot::Snapshot,
};

/// Builder of a [`Channel`]. `C` and `R` are the types of the contract and the registry once set,
/// `L` is the stack of layers.
#[must_use]
#[derive(Debug)]
pub struct Builder<C, R, L = Identity> {
    contract: C,
    registry: R,
    layers: ServiceBuilder<L>,
    parts: Parts,
}

/// Optional parts, with their defaults.
#[derive(Debug)]
struct Parts {
    service: String,
    settings: ClientSettings,
    signer: Option<Arc<ServiceSigner>>,
    metrics: Option<Arc<dyn Metrics>>,
    meter: Option<Meter>,
    caller: Option<String>,
    grpc_service: Option<String>,
}

/// Failure to build a channel, with every problem.
#[derive(Debug, thiserror::Error)]
pub struct BuildError {
    problems: Vec<BuildProblem>,
}

/// A problem for which a channel cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildProblem {
    /// The service's name is also the authority of its requests.
    #[error("{0:?} cannot be the name of a service")]
    Name(String),
    /// No gRPC service of the contract belongs to the called service: the contract is another
    /// team's, and its timeouts and retries would never apply.
    #[error(
        "the contract has no gRPC service of {service}: it has {}. If one of them is served by \
         {service}, name it with Builder::grpc_service",
        list(.contract)
    )]
    Contract {
        /// The service to be called.
        service: String,
        /// The gRPC services that the contract has.
        contract: Vec<&'static str>,
    },
    /// The contract does not have the gRPC service that the builder names.
    #[error("the contract has no gRPC service {0}")]
    GrpcService(String),
    /// A setting is out of range, or names a method that the contract does not have.
    #[error("the client's settings: {0}")]
    Setting(#[from] InvalidSetting),
    /// A certificate or a key cannot be used.
    #[error("the client's settings: tls.{0}")]
    Tls(#[from] InvalidTls),
}

impl BuildError {
    /// Returns every problem, at least one.
    pub fn problems(&self) -> &[BuildProblem] {
        &self.problems
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, problem) in self.problems.iter().enumerate() {
            let separator = if number > 0 { "; " } else { "" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl From<Vec<InvalidSetting>> for BuildError {
    fn from(invalid: Vec<InvalidSetting>) -> Self {
        Self { problems: invalid.into_iter().map(BuildProblem::from).collect() }
    }
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}

impl Channel {
    /// Starts a builder for a service, by its registered name. The name is also the audience of its
    /// tokens.
    pub fn builder(service: impl Into<String>) -> Builder<(), ()> {
        Builder {
            contract: (),
            registry: (),
            layers: ServiceBuilder::new(),
            parts: Parts {
                service: service.into(),
                settings: ClientSettings::default(),
                signer: None,
                metrics: None,
                meter: None,
                caller: None,
                grpc_service: None,
            },
        }
    }
}

impl<C, R, L> Builder<C, R, L> {
    /// Sets the contract with the policies. A method outside of it is passed through as a stream
    /// without a policy: it is not repeated once it may have been executed, and has the caller's
    /// deadline only.
    pub fn contract(self, contract: &'static Contract) -> Builder<&'static Contract, R, L> {
        let Self { registry, layers, parts, .. } = self;
        Builder { contract, registry, layers, parts }
    }

    /// Sets the registry of the service.
    pub fn registry(self, registry: Registry) -> Builder<C, Registry, L> {
        let Self { contract, layers, parts, .. } = self;
        Builder { contract, registry, layers, parts }
    }

    /// Adds a tower layer around the channel. The first layer added is the outermost.
    ///
    /// Layers wrap the whole stack: span, metrics, deadline, circuit breaker, retries, balancer,
    /// connection. They see one logical call: the request of the generated client, and the
    /// response. The body of the response ends the call. A header, a [`Deadline`](crate::Deadline)
    /// or an [`ActingFor`](crate::ActingFor) that a layer adds applies to the call. A layer cannot
    /// stand between the retries and the connection: it would see attempts, and some of them do not
    /// count.
    ///
    /// [`build`](Self::build) returns the wrapped channel. For [`Channel::snapshot`], build the
    /// channel without layers and wrap a clone of it.
    ///
    /// ```no_run
    /// # use gantry_contract::Contract;
    /// # use gantry_discovery::Registry;
    /// # fn wire(contract: &'static Contract) -> Result<(), gantry_client::BuildError> {
    /// let locale = |mut request: http::Request<tonic::body::Body>| {
    ///     request.headers_mut().insert("accept-language", http::HeaderValue::from_static("de"));
    ///     request
    /// };
    /// let channel = gantry_client::Channel::builder("user")
    ///     .contract(contract)
    ///     .registry(Registry::memory())
    ///     .layer(tower::util::MapRequestLayer::new(locale))
    ///     .build()?;
    /// // let users = UserServiceClient::new(channel);
    /// # Ok(())
    /// # }
    /// ```
    pub fn layer<T>(self, layer: T) -> Builder<C, R, Stack<T, L>> {
        let Self { contract, registry, layers, parts } = self;
        Builder { contract, registry, layers: layers.layer(layer), parts }
    }

    /// Names a gRPC service of the contract, by its full name, that the called service serves.
    /// Required only if no name in the contract shares a word with the called service: `accounts`
    /// serves `shop.user.v1.UserService`.
    pub fn grpc_service(mut self, name: impl Into<String>) -> Self {
        self.parts.grpc_service = Some(name.into());
        self
    }

    /// Sets the signer of the calls. Default: none, and the `authorization` of the request is
    /// passed on.
    pub fn signer(mut self, signer: Arc<ServiceSigner>) -> Self {
        self.parts.signer = Some(signer);
        self
    }

    /// Sets connections, waits, limits and policies.
    pub fn settings(mut self, settings: ClientSettings) -> Self {
        self.parts.settings = settings;
        self
    }

    /// Sets the receiver of calls, attempts and changes of state. Default: none.
    pub fn metrics(mut self, metrics: Arc<dyn Metrics>) -> Self {
        self.parts.metrics = Some(metrics);
        self
    }

    /// Sets the meter of calls, attempts, connections, ejections and the state of the breaker,
    /// instead of [`metrics`](Self::metrics). The names are gRPC's if it defines them (gRFC A66,
    /// A91, A94, A96). Default: none.
    pub fn meter(mut self, meter: Meter) -> Self {
        self.parts.meter = Some(meter);
        self
    }

    /// Sets the name of the calling service in the measurements. It distinguishes several services
    /// of one process that call the same service.
    pub fn caller(mut self, service: &str) -> Self {
        self.parts.caller = Some(service.to_owned());
        self
    }
}

impl<L: Layer<Channel>> Builder<&'static Contract, Registry, L> {
    /// Builds the channel and starts to connect, within the current tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`] with every problem: an invalid service name, another team's contract,
    /// settings that are out of range or name methods outside the contract, and invalid certificate
    /// files.
    pub fn build(self) -> Result<L::Service, BuildError> {
        let Self { contract, registry, layers, parts } = self;
        Ok(layers.service(parts.build(contract, &registry)?))
    }
}

impl Parts {
    fn build(
        self,
        contract: &'static Contract,
        registry: &Registry,
    ) -> Result<Channel, BuildError> {
        let mut problems = Vec::new();
        let authority = self.service.parse::<uri::Authority>();
        if authority.is_err() {
            problems.push(BuildProblem::Name(self.service.clone()));
        }
        problems.extend(self.uncovered(contract));
        problems.extend(self.settings.problems(contract).into_iter().map(BuildProblem::from));
        let tls = self.settings.tls.as_ref().map(|tls| Tls::load(tls, &self.service)).transpose();
        let tls = tls.map_err(|invalid| problems.push(invalid.into()));
        let (Ok(authority), Ok(tls), true) = (authority, tls, problems.is_empty()) else {
            return Err(BuildError { problems });
        };
        let methods = Methods::new(contract, &self.settings)?;
        let watch = registry.resolver.watch(&self.service);
        let service: Arc<str> = self.service.into();
        let who = measure::who(&service, self.caller.as_deref());
        let metrics = match &self.meter {
            Some(meter) => Some(Arc::new(Measures::new(meter, who.clone(), contract)) as _),
            None => self.metrics,
        };
        let health =
            Health::new(Arc::clone(&service), &self.settings, metrics).map_err(|one| vec![one])?;
        let inner = Arc::new(Inner {
            pool: Pool::new(service, watch, self.settings, health, tls),
            authority,
            methods,
            signer: self.signer,
            warned: AtomicBool::new(false),
        });
        if let Some(meter) = &self.meter {
            // The instruments do not keep the channel open.
            let channel = Arc::downgrade(&inner);
            if inner.pool.shared().tls.is_some() {
                let channel = channel.clone();
                measure::observe_tls(meter, &who, move || {
                    Some(channel.upgrade()?.pool.shared().tls.as_ref()?.followed())
                });
            }
            measure::observe(meter, &who, move || {
                Some(Snapshot::of(channel.upgrade()?.pool.shared()))
            });
        }
        Ok(Channel { inner })
    }

    /// Returns the problem of a contract that is not the called service's.
    fn uncovered(&self, contract: &'static Contract) -> Option<BuildProblem> {
        let mut served = contract.services.iter().map(|service| service.name);
        match &self.grpc_service {
            Some(named) if !served.any(|name| name == named) => {
                Some(BuildProblem::GrpcService(named.clone()))
            }
            None if !served.any(|name| covers::is_served_by(name, &self.service)) => {
                let contract = contract.services.iter().map(|one| one.name).collect();
                Some(BuildProblem::Contract { service: self.service.clone(), contract })
            }
            Some(_) | None => None,
        }
    }
}
