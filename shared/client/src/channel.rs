//! The channel: what a generated client calls through.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use gantry_contract::{CallContext, Contract};
use gantry_discovery::Registry;
use gantry_identity::ServiceSigner;
use gantry_tls::InvalidTls;
use http::{Request, Response, Uri, uri};
use opentelemetry::metrics::Meter;
use tokio::time::Instant;
use tower::Service;
use tracing::Instrument;

use crate::{
    body::ResponseBody,
    call::Call,
    call_state::CallState,
    covers,
    error::{About, Error},
    health::Health,
    measure::{self, Measures},
    metrics::Metrics,
    policy::Methods,
    pool::{Pool, Tls},
    prepare::{deadline_of, encode, identify},
    settings::{ClientSettings, InvalidSetting},
    snapshot::Snapshot,
};

/// A way to one service. Clones share everything; the connections end with the last
/// of them, once the calls under way are done.
#[derive(Clone, Debug)]
pub struct Channel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    pool: Pool,
    authority: uri::Authority,
    methods: Methods,
    signer: Option<Arc<ServiceSigner>>,
    /// Whether it was warned of a method that the contract does not know.
    warned: AtomicBool,
}

/// What a [`Channel`] is built from.
#[must_use]
#[derive(Debug)]
pub struct Builder<C, R> {
    service: String,
    contract: C,
    registry: R,
    signer: Option<Arc<ServiceSigner>>,
    settings: ClientSettings,
    metrics: Option<Arc<dyn Metrics>>,
    meter: Option<Meter>,
    caller: Option<String>,
    grpc_service: Option<String>,
}

/// Why a channel cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The service's name is also the authority of its requests.
    #[error("{0:?} cannot be the name of a service")]
    Name(String),
    /// No gRPC service of the contract is one of the called service: it is another team's, and
    /// no timeout and no retry of it would ever hold.
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
    /// The contract does not have the gRPC service that the called service is said to serve.
    #[error("the contract has no gRPC service {0}")]
    GrpcService(String),
    /// A setting cannot be worked with, or names what the contract does not have.
    #[error("the client's settings: {0}")]
    Setting(#[from] InvalidSetting),
    /// A certificate or a key cannot be used.
    #[error("the client's settings: tls.{0}")]
    Tls(#[from] InvalidTls),
}

impl Channel {
    /// Begins a channel to a service, by the name it is registered under. It is also
    /// the audience of the tokens that are signed for it.
    pub fn builder(service: impl Into<String>) -> Builder<(), ()> {
        Builder {
            service: service.into(),
            contract: (),
            registry: (),
            signer: None,
            settings: ClientSettings::default(),
            metrics: None,
            meter: None,
            caller: None,
            grpc_service: None,
        }
    }

    /// The name of the service.
    pub fn service(&self) -> &str {
        &self.inner.pool.shared().service
    }

    /// The endpoints and their state at this moment, for people to look at.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.inner.pool.shared())
    }

    fn start(&self, request: Request<tonic::body::Body>) -> Result<Call, Error> {
        let started = Instant::now();
        let pool = self.inner.pool.shared();
        let (mut parts, body) = request.into_parts();
        let method = self.inner.methods.get(parts.uri.path());
        if !method.is_known() && !self.inner.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(service = %pool.service, method = parts.uri.path(),
                "the channel's contract does not have the method: no timeout, no retries");
        }
        let context = CallContext::current();
        let max_age = pool.settings.stream_max_age;
        let deadline = deadline_of(&method, &mut parts, context.as_ref(), started, max_age);
        let signer = self.inner.signer.as_ref();
        let identified = identify(&mut parts, context.as_ref(), signer, &pool.service);

        let about = About {
            service: &pool.service,
            path: parts.uri.path(),
            attempts: 0,
            endpoint: None,
            started,
            left: None,
            breaker: None,
            failed: &[],
            gave_up: None,
            repeatable: method.repeatable,
            signed: signer.is_some(),
        };
        let deadline = deadline.map_err(|error| about.malformed(&error.to_string()))?;
        if deadline.left(started).is_none() {
            return Err(about.deadline_exceeded("nothing was left of it"));
        }
        identified.map_err(|what| about.malformed(what))?;
        let uri = self.uri(&parts.uri).ok_or_else(|| about.malformed("it has no path"))?;
        let encoding = encode(&mut parts.headers, pool.settings.compression);
        let (pool, signed) = (Arc::clone(pool), signer.is_some());
        let state = CallState::new(pool, uri, method, started, deadline, signed);
        Ok(Call { state, headers: parts.headers, body, encoding })
    }

    fn uri(&self, asked: &Uri) -> Option<Uri> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(match self.inner.pool.shared().tls {
            Some(_) => uri::Scheme::HTTPS,
            None => uri::Scheme::HTTP,
        });
        parts.authority = Some(self.inner.authority.clone());
        parts.path_and_query = Some(asked.path_and_query()?.clone());
        Uri::from_parts(parts).ok()
    }
}

impl<C, R> Builder<C, R> {
    /// The contract whose policies hold. A method that it does not know is passed
    /// through as a stream, without a policy: it is never sent again once it may have
    /// been executed, and has the caller's deadline only.
    pub fn contract(self, contract: &'static Contract) -> Builder<&'static Contract, R> {
        self.map(|_, registry| (contract, registry))
    }

    /// Where the service is found.
    pub fn registry(self, registry: Registry) -> Builder<C, Registry> {
        self.map(|contract, _| (contract, registry))
    }

    /// Replaces the parts whose types say if they were given.
    fn map<D, S>(self, parts: impl FnOnce(C, R) -> (D, S)) -> Builder<D, S> {
        let Self {
            service,
            contract,
            registry,
            signer,
            settings,
            metrics,
            meter,
            caller,
            grpc_service,
        } = self;
        let (contract, registry) = parts(contract, registry);
        Builder {
            service,
            contract,
            registry,
            signer,
            settings,
            metrics,
            meter,
            caller,
            grpc_service,
        }
    }

    /// Names a gRPC service of the contract, in full, that the called service serves. Needed only
    /// if no name of the contract has a word of the called service's: `accounts` serves
    /// `shop.user.v1.UserService`.
    pub fn grpc_service(mut self, name: impl Into<String>) -> Self {
        self.grpc_service = Some(name.into());
        self
    }

    /// Who signs the calls; with `None` the requests' own `authorization` goes as it is.
    pub fn signer(mut self, signer: Option<Arc<ServiceSigner>>) -> Self {
        self.signer = signer;
        self
    }

    /// How it connects and waits, and when it gives something up.
    pub fn settings(mut self, settings: ClientSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Who is told of calls, attempts and changes of state; nobody by default.
    pub fn metrics(mut self, metrics: Arc<dyn Metrics>) -> Self {
        self.metrics = Some(metrics);
        self
    }

    /// Has calls, attempts, connections, ejections and the state of the breaker measured,
    /// in the place of [`metrics`](Self::metrics); the names are gRPC's where it has them
    /// (gRFC A66, A91, A94, A96). Nobody measures by default.
    pub fn meter(mut self, meter: Option<Meter>) -> Self {
        self.meter = meter;
        self
    }

    /// Says who calls, for what is measured: a process in which several services call the
    /// same one tells them apart by it.
    pub fn caller(mut self, service: &str) -> Self {
        self.caller = Some(service.to_owned());
        self
    }
}

impl Builder<&'static Contract, Registry> {
    /// Builds the channel and starts to connect, within the current tokio runtime.
    ///
    /// # Errors
    /// [`BuildError`] for a name that cannot be a service's, another team's contract, and settings that are out of
    /// range, name methods that the contract does not have, or files that are no certificates.
    pub fn build(self) -> Result<Channel, BuildError> {
        let Ok(authority) = self.service.parse() else {
            return Err(BuildError::Name(self.service));
        };
        let mut served = self.contract.services.iter().map(|service| service.name);
        match &self.grpc_service {
            Some(named) if !served.any(|name| name == named) => {
                return Err(BuildError::GrpcService(named.clone()));
            }
            None if !served.any(|name| covers::is_served_by(name, &self.service)) => {
                let contract = self.contract.services.iter().map(|one| one.name).collect();
                return Err(BuildError::Contract { service: self.service, contract });
            }
            Some(_) | None => {}
        }
        if let Some(problem) = self.settings.problems(self.contract).into_iter().next() {
            return Err(problem.into());
        }
        let methods = Methods::new(self.contract, &self.settings)?;
        let tls =
            self.settings.tls.as_ref().map(|tls| Tls::load(tls, &self.service)).transpose()?;
        let watch = self.registry.resolver.watch(&self.service);
        let service: Arc<str> = self.service.into();
        let who = measure::who(&service, self.caller.as_deref());
        let metrics = match &self.meter {
            Some(meter) => Some(Arc::new(Measures::new(meter, who.clone(), self.contract)) as _),
            None => self.metrics,
        };
        let health = Health::new(Arc::clone(&service), &self.settings, metrics)?;
        let inner = Inner {
            pool: Pool::new(service, watch, self.settings, health, tls),
            authority,
            methods,
            signer: self.signer,
            warned: AtomicBool::new(false),
        };
        let inner = Arc::new(inner);
        if let Some(meter) = &self.meter {
            // Whoever measures does not keep the channel.
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
}

fn list(names: &[&str]) -> String {
    if names.is_empty() { "none at all".to_owned() } else { names.join(", ") }
}

/// A call under way. Dropping it cancels the call.
pub struct ResponseFuture(
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>,
);

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    /// Always ready: a call that cannot be placed waits within its own deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> ResponseFuture {
        // The context is the caller's task's, which may not be the one that polls.
        match self.start(request) {
            Ok(call) => {
                let span = call.state.span().clone();
                ResponseFuture(Box::pin(call.run().instrument(span)))
            }
            Err(error) => ResponseFuture(Box::pin(std::future::ready(Err(error)))),
        }
    }
}
