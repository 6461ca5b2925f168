//! A server and its life: serve, drain, done.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gantry_contract::Contract;
use gantry_discovery::{Instance, RegisterError, Registration};
use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, server::conn::http2};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{codegen::StdError, transport::server::TcpConnectInfo};
use tower::{Service, ServiceExt};
use tracing::info;

use crate::{
    builder::ServerBuilder,
    call::{Connection, Received},
    connections::{self, Age, Connections, Ends, PrefaceInTime},
    measure::{Closed, Observed, ServerMeasures},
    readiness::{Check, Status},
    registered::Registered,
    settings::{ConnectionSettings, Settings},
    stack::{self, Parts},
    state::{Life, State},
    tls::Security,
};

/// Why a server ended other than by draining.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener is of no use.
    #[error("the listener has no address: {0}")]
    Listener(#[from] io::Error),
    /// The registry will never take this instance.
    #[error("the server cannot be registered: {0}")]
    Register(#[from] RegisterError),
}

/// A service, ready to serve on one listener.
#[derive(Debug)]
pub struct Server {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) names: Vec<&'static str>,
    pub(crate) parts: Parts,
    pub(crate) settings: Settings,
    pub(crate) security: Security,
    pub(crate) registered: Option<Registered>,
    pub(crate) life: Life,
    pub(crate) checks: Arc<[Check]>,
}

impl Server {
    /// Starts a server of the service `name` (as callers look for it), whose gRPC
    /// services and their policies are in `contract`.
    pub fn builder(name: &str, contract: &'static Contract) -> ServerBuilder {
        ServerBuilder::new(name, contract)
    }

    /// Its readiness, now and later.
    pub fn status(&self) -> Status {
        let checks = Arc::clone(&self.checks);
        Status::new(&self.name, self.life.watch(), checks, self.registered.clone())
    }

    /// Serves until `shutdown`, then drains, and returns once that is done:
    ///
    /// 1. health says NOT_SERVING, and watches of it end;
    /// 2. the registry forgets the server;
    /// 3. callers get time to hear of that, while calls are still taken;
    /// 4. no more connections; those there are get a GOAWAY;
    /// 5. calls in flight finish, for the drain timeout at most; what is left then is
    ///    told UNAVAILABLE.
    ///
    /// Dropping the future cuts everything off at once.
    ///
    /// # Errors
    /// [`ServeError`] where it could not start.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        let settings = &self.settings.connections;
        let meter = self.parts.measures.meter();
        let measures = Arc::new(ServerMeasures::new(meter, &self.name, address));
        // Told for as long as this is here.
        let observed =
            Arc::new(Observed { limiter: self.parts.limiter.clone(), state: self.life.watch() });
        measures.observe(meter, &observed);
        let mut connections = Connections::new(settings.max as usize, Some(Arc::clone(&measures)));
        let stop = CancellationToken::new();
        let http2 = Http2 {
            protocol: protocol(settings, connections.calls.clone()),
            stack: stack::compose(self.parts.clone()),
            local: address,
            security: self.security.clone(),
            handshake_timeout: settings.handshake_timeout,
            age: Age { max: settings.max_age, grace: settings.max_age_grace },
            measures,
            goaway: connections.goaway.clone(),
            cut: connections.cut.clone(),
        };
        let accept =
            connections.accept(listener, stop.clone(), |stream, peer| http2.serve(stream, peer));
        let live = async {
            // Accepting while registering: a registry may call back before it answers.
            let lived = self.live(address, shutdown).await;
            stop.cancel();
            lived
        };
        let lived = tokio::select! {
            (lived, ()) = async { tokio::join!(live, accept) } => lived,
            never = self.security.follow() => match never {},
        };
        connections.drain(self.settings.drain_timeout).await;
        self.life.set(State::Draining);
        lived?;
        info!(service = self.name, %address, "drained");
        Ok(())
    }

    /// From the first call to the moment when no more calls should come.
    async fn live(
        &self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.life.set(State::Serving);
        let registration = self.register(address).await?;
        info!(service = self.name, %address, "serving");
        shutdown.await;
        info!(service = self.name, %address, "draining");
        self.life.set(State::Draining);
        if let Some((registration, propagation)) = registration {
            registration.deregister().await;
            sleep(propagation).await;
        }
        Ok(())
    }

    async fn register(
        &self,
        address: SocketAddr,
    ) -> Result<Option<(Registration, Duration)>, ServeError> {
        let Some(registered) = &self.registered else {
            return Ok(None);
        };
        let registry = registered.registry();
        let instance = Instance {
            weight: self.settings.weight,
            zone: self.settings.zone.clone(),
            version: self.version.clone(),
            tls: self.security.is_tls(),
            checks: self.names.iter().map(ToString::to_string).collect(),
            ..Instance::new(&self.name, self.settings.advertised(address))
        };
        let registration = registry.registrar.register(instance).await?;
        registered.told(&registration);
        Ok(Some((registration, registry.propagation)))
    }
}

/// What every connection of a server has in common.
struct Http2<S> {
    protocol: http2::Builder<Calls>,
    stack: S,
    local: SocketAddr,
    security: Security,
    handshake_timeout: Duration,
    age: Age,
    measures: Arc<ServerMeasures>,
    goaway: CancellationToken,
    cut: CancellationToken,
}

impl<S, B> Http2<S>
where
    S: Service<Received<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    fn serve(&self, stream: TcpStream, peer: SocketAddr) -> impl Future<Output = ()> + use<S, B> {
        let info = TcpConnectInfo { local_addr: Some(self.local), remote_addr: Some(peer) };
        let ends = Ends {
            goaway: self.goaway.clone(),
            age: Some(self.age.jittered(fastrand::f64())),
            cut: self.cut.child_token(),
        };
        let connection = Arc::new(Connection { info, peer, cut: ends.cut.clone() });
        let stack = self.stack.clone().map_request(move |http: Request<Incoming>| Received {
            connection: Arc::clone(&connection),
            http,
        });
        let protocol = self.protocol.clone();
        let (security, patience) = (self.security.clone(), self.handshake_timeout);
        let open = self.measures.accepted();
        async move {
            let Some(stream) = security.secure(stream, peer, patience, &ends.goaway).await else {
                open.ended(Closed::Handshake);
                return;
            };
            let goaway = ends.goaway.clone();
            // Either way it is over.
            let over = async move {
                timeout(patience, goaway.cancelled_owned()).await.unwrap_or_default();
            };
            let stream = TokioIo::new(PrefaceInTime::new(stream, over));
            let served = protocol.serve_connection(stream, TowerToHyperService::new(stack));
            let run = connections::run(served, peer, ends, |served| served.graceful_shutdown());
            open.ended(run.await);
        }
    }
}

fn protocol(settings: &ConnectionSettings, calls: TaskTracker) -> http2::Builder<Calls> {
    let mut protocol = http2::Builder::new(Calls(calls));
    protocol
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.max_streams)
        .max_header_list_size(settings.max_header_bytes)
        .initial_stream_window_size(settings.stream_window_bytes)
        .initial_connection_window_size(settings.connection_window_bytes)
        .keep_alive_interval(settings.keep_alive_interval)
        .keep_alive_timeout(settings.keep_alive_timeout)
        .max_pending_accept_reset_streams(settings.max_pending_resets as usize)
        .max_local_error_reset_streams(settings.max_local_resets as usize);
    protocol
}

/// Spawns what hyper runs for single calls where it can be waited for.
#[derive(Clone, Debug)]
struct Calls(TaskTracker);

impl<F> Executor<F> for Calls
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, call: F) {
        // The tracker is what is waited for, not the task's result.
        drop(self.0.spawn(call));
    }
}
