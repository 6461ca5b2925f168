//! Life of a server: serve, drain, end.

use std::{convert::Infallible, future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use gantry_discovery::{Instance, RegisterError, Registration};
use gantry_http2::FrameFilter;
use http::Response;
use hyper::service::Service;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::server::TcpConnectInfo;
use tracing::{debug, info};

use crate::{
    call::{Received, Timed},
    connection::{
        ClientFrames, Closed, Connection, ConnectionLimiter, ConnectionUsage, FloodWatch, Limits,
        Peer, Resets, SendBudget,
    },
    lifecycle::{Lifecycle, State},
    measure::{Observed, ServerMeasures},
    readiness::{Check, Endpoints, Need, Status},
    registered::Registered,
    settings::{ConnectionSettings, Settings},
    stack::{self, Parts},
    tls::{Security, certified_names},
    transport::{Age, Connections, Ends, GoawayDebugData, RequestBody, Serving, protocol, run},
};

/// Error that ended a server before a drain.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener has no local address.
    #[error("the listener has no address: {0}")]
    Listener(#[from] io::Error),
    /// The registry rejects this instance for good.
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
    pub(crate) lifecycle: Lifecycle,
    pub(crate) checks: Arc<[Check]>,
    pub(crate) needs: Vec<Need>,
}

impl Server {
    /// Returns a handle on the server's readiness.
    pub fn status(&self) -> Status {
        let checks = Arc::clone(&self.checks);
        let needs = self.needs.clone();
        Status::new(&self.name, self.lifecycle.watch(), checks, needs, self.registered.clone())
    }

    /// Adds a called service to the readiness. `endpoints` returns the number of its known and
    /// connected endpoints. While none is connected, the server is degraded.
    #[must_use]
    pub fn needs(
        mut self,
        service: &str,
        endpoints: impl Fn() -> Endpoints + Send + Sync + 'static,
    ) -> Self {
        let (service, endpoints) = (service.to_owned(), Arc::new(endpoints) as _);
        self.needs.push(Need { service, endpoints });
        self
    }

    /// Serves until `shutdown`, then drains, and returns when the drain is complete:
    ///
    /// 1. Health reports NOT_SERVING, and its watches end.
    /// 2. The server is removed from the registry.
    /// 3. Calls are still accepted for the propagation time, so that callers notice the removal.
    /// 4. New connections are refused; open ones get a GOAWAY.
    /// 5. Calls in flight finish within the drain timeout; the rest end with UNAVAILABLE.
    ///
    /// Dropping the future closes all connections at once.
    ///
    /// # Errors
    /// [`ServeError`] if the server cannot start.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        let settings = &self.settings.connections;
        let meter = self.parts.measures.meter();
        let measures = Arc::new(ServerMeasures::new(meter, &self.name, address));
        // The metrics are observed until this is dropped.
        let observed = Arc::new(Observed {
            limiter: self.parts.limiter.clone(),
            state: self.lifecycle.watch(),
            security: self.security.clone(),
            verifier: self.parts.verifier.clone(),
        });
        measures.observe(meter, &observed);
        let limiter =
            ConnectionLimiter::new(Limits::new(settings), Arc::clone(&self.parts.proxies));
        let mut connections = Connections::new(limiter, Some(Arc::clone(&measures)));
        let stop = CancellationToken::new();
        let http2 = Http2 {
            protocol: protocol(settings, self.settings.concurrency.max_streams()),
            settings: settings.clone(),
            stack: Arc::new(stack::compose(self.parts.clone())),
            local: address,
            security: self.security.clone(),
            calls: connections.calls.clone(),
            send_budget: SendBudget::new(settings.max_unsent_bytes),
            measures,
            goaway: connections.goaway.clone(),
            cut: connections.cut.clone(),
        };
        let accept = connections.accept(listener, stop.clone(), |stream, address, peer| {
            http2.serve(stream, address, peer)
        });
        let live = async {
            // Accept while registering: the registry may call back before it answers.
            let lived = self.live(address, shutdown).await;
            stop.cancel();
            lived
        };
        let lived = tokio::select! {
            (lived, ()) = async { tokio::join!(live, accept) } => lived,
            never = self.security.follow() => match never {},
        };
        connections.drain(self.settings.drain_timeout).await;
        self.lifecycle.set(State::Draining);
        lived?;
        info!(service = self.name, %address, "drained");
        Ok(())
    }

    /// Registers, serves until `shutdown`, deregisters, and waits for the propagation time.
    async fn live(
        &self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ServeError> {
        self.lifecycle.set(State::Serving);
        let registration = self.register(address).await?;
        info!(service = self.name, %address, "serving");
        shutdown.await;
        info!(service = self.name, %address, "draining");
        self.lifecycle.set(State::Draining);
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
        registered.set(&registration);
        Ok(Some((registration, registry.propagation)))
    }
}

/// State shared by all connections of a server.
struct Http2<S> {
    protocol: h2::server::Builder,
    settings: ConnectionSettings,
    stack: Arc<S>,
    local: SocketAddr,
    security: Security,
    calls: TaskTracker,
    send_budget: Arc<SendBudget>,
    measures: Arc<ServerMeasures>,
    goaway: CancellationToken,
    cut: CancellationToken,
}

impl<S, B> Http2<S>
where
    S: Service<Received<RequestBody>, Response = Response<B>, Error = Infallible>
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: Timed<Data = Bytes> + Send + 'static,
{
    fn serve(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        standing: Peer,
    ) -> impl Future<Output = ()> + use<S, B> {
        let (security, protocol) = (self.security.clone(), self.protocol.clone());
        let (settings, stack, calls) =
            (self.settings.clone(), self.stack.clone(), self.calls.clone());
        let info = TcpConnectInfo { local_addr: Some(self.local), remote_addr: Some(peer) };
        let age = Age { max: settings.max_age, grace: settings.max_age_grace };
        let ends = Ends {
            goaway: self.goaway.clone(),
            age: age.jittered(fastrand::f64()),
            reset_limit_hit: CancellationToken::new(),
            cut: self.cut.child_token(),
            peer: standing.clone(),
            idle_timeout: Some(settings.idle_timeout),
        };
        let open = self.measures.accepted();
        let usage = Arc::new(ConnectionUsage::new(Arc::clone(&self.send_budget)));
        async move {
            let handshake_timeout = settings.handshake_timeout;
            let floods = Arc::<FloodWatch>::default();
            let shake_hands = async {
                let stream = security.secure(stream, peer, handshake_timeout, &ends.goaway).await?;
                let names = certified_names(&stream);
                let stream = GoawayDebugData::new(stream, Arc::clone(&floods));
                let stream =
                    FrameFilter::for_server(stream, ClientFrames::new(Arc::clone(&floods)));
                let shaken = protocol.handshake(stream).await;
                let shaken =
                    shaken.inspect_err(|error| debug!(%peer, %error, "HTTP/2 handshake failed"));
                Some((shaken.ok()?, names))
            };
            let shaken = tokio::select! {
                shaken = timeout(handshake_timeout, shake_hands) => shaken,
                () = ends.goaway.cancelled() => Ok(None),
                () = standing.closing().cancelled() => {
                    open.ended(Closed::Evicted);
                    return;
                }
            };
            let Ok(Some((http2, names))) = shaken else {
                open.ended(Closed::Handshake);
                return;
            };
            if names.is_some() {
                // The handshake verified the certificate, so the peer counts as authenticated.
                standing.authenticated();
            }
            let (cut, resets) = (ends.cut.clone(), Resets::new(settings.max_resets));
            let connection = Connection::new(info, peer, standing, names, cut, resets, usage)
                .with_floods(floods);
            let connection = Arc::new(connection);
            let reset_limit_hit = ends.reset_limit_hit.clone();
            let serving = Serving::new(http2, connection, stack, calls, reset_limit_hit, &settings);
            open.ended(run(serving, peer, ends).await);
        }
    }
}
