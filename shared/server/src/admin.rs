//! The admin server: plain HTTP on a port of its own, never a public one.
//!
//! | path | answers |
//! |---|---|
//! | `/` | links to the others |
//! | `/livez`, `/healthz` | 200 while the process runs |
//! | `/readyz` | 200 where every server serves and every dependency answers within 3 s, otherwise 503; JSON that names each. 200 and `degraded` while something is amiss that a server can do without |
//! | `/metrics` | what was counted and measured, as Prometheus reads it |
//! | `/endpoints` | by the service that calls: whom it calls, the endpoints it knows, and what it thinks of them; JSON |
//! | `/config` | the settings in use, without secrets; JSON |
//!
//! JSON is indented with `?pretty`. The last three say what [`Admin`] was given to say; a page that it was not given is
//! not there. This crate knows of no client, no exporter and no configuration.
//!
//! A request whose Host is neither an IP address nor `localhost` nor one of
//! [`Admin::hosts`] is answered 421: web pages could read these by DNS rebinding.
//!
//! Whoever reaches this port can ask as often as they like and cost the services little: a
//! connection is for one request and lasts seconds, there is a bounded number of them, and
//! `/readyz` and `/metrics` are worked out once for all who ask at the same time.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::State as Shared,
    middleware::{from_fn, from_fn_with_state},
    response::IntoResponse,
    routing::get,
};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::Reason;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::debug;

use crate::{
    client::Proxies,
    connection::{Closed, ConnectionLimiter, Limits},
    hosts::{self, HostName},
    pages,
    readiness::{Report, Status},
    settings::LimitSettings,
    single_flight::SingleFlight,
    transport::{Age, Connections, Endable, Ends, run},
};

/// Answers are short: whoever has not read one by then is not waited for.
const DRAIN: Duration = Duration::from_secs(1);

/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection lasts: for the request, 3 s of checks, and the reading of the answer.
const AGE: Age = Age { max: Duration::from_secs(15), grace: Duration::from_secs(1) };

/// What a client may say before its request is no request, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Operators and their probes: more are too many. No address takes the places of the others.
const LIMITS: Limits = Limits { max: 100, reserved: 0, per_source: 25, per_site: 25 };

/// What Prometheus's text format is called.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Says something anew whenever it is asked.
type Source<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Tells of all servers of a process.
#[derive(Clone, Default)]
#[must_use = "an admin server does nothing until it serves"]
pub struct Admin {
    servers: Vec<Status>,
    metrics: Option<Source<String>>,
    endpoints: BTreeMap<String, Source<Value>>,
    config: Option<Value>,
    hosts: Vec<HostName>,
}

impl Admin {
    /// Tells of no server yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells of this server too; see [`Server::status`](crate::Server::status).
    #[expect(clippy::should_implement_trait, reason = "servers are added, not summed")]
    pub fn add(mut self, server: Status) -> Self {
        self.servers.push(server);
        self
    }

    /// Gives `/metrics`: all of it, in Prometheus's text format.
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(text));
        self
    }

    /// Adds to `/endpoints` whom the service `caller` calls.
    pub fn endpoints<T: Serialize>(
        mut self,
        caller: &str,
        channels: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        // What cannot be written as JSON is null there.
        let page = move || serde_json::to_value(channels()).unwrap_or_default();
        self.endpoints.insert(caller.to_owned(), Arc::new(page));
        self
    }

    /// Gives `/config`: what the settings are, without secrets.
    pub fn config(mut self, settings: Value) -> Self {
        self.config = Some(settings);
        self
    }

    /// Adds host names under which the pages answer, besides IP addresses and `localhost`.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = HostName>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Serves until `shutdown`. For `/readyz` to tell of a drain, that has to be
    /// after the servers have drained.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let router = self.router();
        let nobody = Arc::new(Proxies::new(&LimitSettings::default()));
        let mut connections = Connections::new(ConnectionLimiter::new(LIMITS, nobody), None);
        let (stop, goaway) = (CancellationToken::new(), connections.goaway.clone());
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            // Else those who are done would keep their places.
            .keep_alive(false);
        let accept = connections.accept(listener, stop.clone(), |stream, address, peer| {
            let service = TowerToHyperService::new(router.clone());
            let connection = protocol.serve_connection(TokioIo::new(stream), service);
            let ends = Ends {
                goaway: goaway.clone(),
                age: AGE,
                reset_limit_hit: CancellationToken::new(),
                cut: CancellationToken::new(),
                peer,
                idle_timeout: None,
            };
            let run = run(Http1 { connection, peer: address }, address, ends);
            async move {
                run.await;
            }
        });
        let until = async {
            shutdown.await;
            stop.cancel();
        };
        tokio::join!(until, accept);
        connections.drain(DRAIN).await;
    }

    fn router(self) -> Router {
        let Self { servers, metrics, endpoints, config, hosts } = self;
        let servers: Arc<[Status]> = servers.into();
        let has = [metrics.is_some(), !endpoints.is_empty(), config.is_some()];
        let index = pages::index(|path| match path {
            "/metrics" => has[0],
            "/endpoints" => has[1],
            "/config" => has[2],
            _ => true,
        });
        let mut router = Router::new()
            .route("/", get(async move || index))
            .route("/livez", get(live))
            .route("/healthz", get(live))
            .route("/readyz", get(ready))
            .with_state(SingleFlight::new(move || readiness(Arc::clone(&servers))));
        if let Some(text) = metrics {
            let text = SingleFlight::new(move || write(Arc::clone(&text)));
            let page = async move || text.ask().await.ok_or(StatusCode::INTERNAL_SERVER_ERROR);
            router = router.route("/metrics", get(page));
        }
        if !endpoints.is_empty() {
            let pages = SingleFlight::new(move || {
                let pages = endpoints.iter().map(|(caller, page)| (caller.clone(), page()));
                std::future::ready(json(&pages.collect::<BTreeMap<_, _>>()))
            });
            router = router.route("/endpoints", get(async move || pages.ask().await));
        }
        if let Some(config) = config {
            router = router.route("/config", get(async move || Json(config)));
        }
        let hosts: Arc<[HostName]> = hosts.into();
        let router = router.layer(from_fn(pages::pretty));
        let router = router.layer(from_fn_with_state(hosts, hosts::check));
        SECURITY_HEADERS.into_iter().fold(router, |router, (name, value)| {
            let value = HeaderValue::from_static(value);
            router.layer(SetResponseHeaderLayer::overriding(name, value))
        })
    }
}

/// What hyper makes of a connection.
struct Http1 {
    connection: http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>>,
    peer: SocketAddr,
}

impl Future for Http1 {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        Pin::new(&mut self.connection).poll(cx).map(|ended| match ended {
            Ok(()) => Closed::Peer,
            Err(error) => {
                debug!(peer = %self.peer, %error, "a connection ended badly");
                Closed::Error
            }
        })
    }
}

impl Endable for Http1 {
    fn graceful(mut self: Pin<&mut Self>) {
        Pin::new(&mut self.connection).graceful_shutdown();
    }

    fn abrupt(self: Pin<&mut Self>, _: Reason) {
        // At once while it has not begun to answer.
        self.graceful();
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Nothing here is to be framed, sniffed, cached or run.
const SECURITY_HEADERS: [(HeaderName, &str); 5] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

async fn live() -> impl IntoResponse {
    Json(json!({ "status": "live" }))
}

#[derive(Serialize)]
struct Readiness {
    status: &'static str,
    servers: Vec<Report>,
}

/// A page as it is sent: the same for all who ask at the same time.
type Page = ([(HeaderName, &'static str); 1], Bytes);

fn json(page: &impl Serialize) -> Page {
    // Of maps with text for keys, which all can be written.
    let text = serde_json::to_vec(page).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text.into())
}

async fn readiness(servers: Arc<[Status]>) -> (StatusCode, Page) {
    let servers = join_all(servers.iter().map(Status::report)).await;
    let (code, status) = if !servers.iter().all(|server| server.ready) {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    } else if servers.iter().any(|server| server.degraded) {
        (StatusCode::OK, "degraded")
    } else {
        (StatusCode::OK, "ready")
    };
    (code, json(&Readiness { status, servers }))
}

async fn ready(Shared(readiness): Shared<SingleFlight<(StatusCode, Page)>>) -> impl IntoResponse {
    readiness.ask().await
}

/// On a thread where it holds up nobody's calls. Nothing where it panicked.
async fn write(text: Source<String>) -> Option<Page> {
    let text = spawn_blocking(move || text()).await.ok()?;
    Some(([(CONTENT_TYPE, PROMETHEUS_TEXT)], text.into()))
}
