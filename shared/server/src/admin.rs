//! Admin server: plain HTTP on its own port, which must not be public.
//!
//! | path | response |
//! |---|---|
//! | `/` | links to the other pages |
//! | `/livez`, `/healthz` | 200 while the process runs |
//! | `/readyz` | 200 if every server serves and every required dependency answers within 3 s, otherwise 503; JSON with the state of each. 200 and `degraded` while something fails that no server requires |
//! | `/metrics` | metrics in Prometheus's text format |
//! | `/endpoints` | for each service that calls others: the called services, their known endpoints, and the state of each; JSON |
//! | `/config` | settings in use, without secrets; JSON |
//! | `/log-filter` | filter of the log; PUT changes it; JSON |
//!
//! JSON is indented with `?pretty`. The content of the last four pages is supplied to [`Admin`]; a
//! page without content does not exist. This crate depends on no client, exporter or configuration.
//!
//! A request whose Host is neither an IP address, `localhost` nor one of [`Admin::hosts`] is
//! answered with 421. Otherwise a web page could read these pages by DNS rebinding.
//!
//! Frequent requests to this port cost the services little. A connection serves one request and
//! lasts seconds, the number of connections is bounded, and concurrent requests share one
//! evaluation of `/readyz` and of `/metrics`.

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
use tracing::{debug, info};

use crate::{
    client::Proxies,
    connection::{Closed, ConnectionLimiter, Limits},
    hosts::{self, HostName},
    log_filter::{self, LogFilterPage},
    pages,
    readiness::{Report, Status},
    settings::LimitSettings,
    single_flight::SingleFlight,
    transport::{Age, Connections, Endable, Ends, run},
};

/// Drain timeout. Responses are short, so a client that has not read one by then is disconnected.
const DRAIN: Duration = Duration::from_secs(1);

/// Timeout for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum age of a connection: time for the request, 3 s of checks, and the response.
const AGE: Age = Age { max: Duration::from_secs(15), grace: Duration::from_secs(1) };

/// Maximum size of the head of a request, in bytes.
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// Limits of connections: enough for operators and their probes. No address can take all.
const LIMITS: Limits = Limits { max: 100, reserved: 0, per_source: 25, per_site: 25 };

/// Content type of Prometheus's text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Content of a page, evaluated for each request.
type Source<T> = Arc<dyn Fn() -> T + Send + Sync>;

/// Admin pages for all servers of a process.
#[derive(Clone, Default)]
#[must_use = "an admin server does nothing until it serves"]
pub struct Admin {
    servers: Vec<Status>,
    metrics: Option<Source<String>>,
    endpoints: BTreeMap<String, Source<Value>>,
    config: Option<Value>,
    log_filter: Option<LogFilterPage>,
    hosts: Vec<HostName>,
}

impl Admin {
    /// Admin pages without a server.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a server to `/readyz`; see [`Server::status`](crate::Server::status).
    #[expect(clippy::should_implement_trait, reason = "servers are added, not summed")]
    pub fn add(mut self, server: Status) -> Self {
        self.servers.push(server);
        self
    }

    /// Sets the content of `/metrics`, in Prometheus's text format.
    pub fn metrics(mut self, text: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.metrics = Some(Arc::new(text));
        self
    }

    /// Adds the services that the service `caller` calls to `/endpoints`.
    pub fn endpoints<T: Serialize>(
        mut self,
        caller: &str,
        channels: impl Fn() -> T + Send + Sync + 'static,
    ) -> Self {
        // A value that JSON cannot express becomes null.
        let page = move || serde_json::to_value(channels()).unwrap_or_default();
        self.endpoints.insert(caller.to_owned(), Arc::new(page));
        self
    }

    /// Sets the content of `/config`: the settings, without secrets.
    pub fn config(mut self, settings: Value) -> Self {
        self.config = Some(settings);
        self
    }

    /// Adds `/log-filter`. `change` gets a new filter and returns why it is invalid.
    pub fn log_filter(
        mut self,
        current: impl Fn() -> String + Send + Sync + 'static,
        change: impl Fn(String) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let page = LogFilterPage { current: Arc::new(current), change: Arc::new(change) };
        self.log_filter = Some(page);
        self
    }

    /// Adds host names under which the pages answer besides IP addresses and `localhost`.
    pub fn hosts(mut self, hosts: impl IntoIterator<Item = HostName>) -> Self {
        self.hosts.extend(hosts);
        self
    }

    /// Serves until `shutdown`. Complete `shutdown` after the servers have drained, so that
    /// `/readyz` shows the drain.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        if let Ok(address) = listener.local_addr() {
            info!(%address, "admin pages listening");
        }
        let router = self.router();
        let nobody = Arc::new(Proxies::new(&LimitSettings::default()));
        let mut connections = Connections::new(ConnectionLimiter::new(LIMITS, nobody), None);
        let (stop, goaway) = (CancellationToken::new(), connections.goaway.clone());
        let mut protocol = http1::Builder::new();
        protocol
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES)
            // An idle connection would take one of the few places.
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
        let Self { servers, metrics, endpoints, config, log_filter, hosts } = self;
        let servers: Arc<[Status]> = servers.into();
        let has =
            [metrics.is_some(), !endpoints.is_empty(), config.is_some(), log_filter.is_some()];
        let index = pages::index(|path| match path {
            "/metrics" => has[0],
            "/endpoints" => has[1],
            "/config" => has[2],
            log_filter::PATH => has[3],
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
            let page = async move || text.run().await.ok_or(StatusCode::INTERNAL_SERVER_ERROR);
            router = router.route("/metrics", get(page));
        }
        if !endpoints.is_empty() {
            let pages = SingleFlight::new(move || {
                let pages = endpoints.iter().map(|(caller, page)| (caller.clone(), page()));
                std::future::ready(json(&pages.collect::<BTreeMap<_, _>>()))
            });
            router = router.route("/endpoints", get(async move || pages.run().await));
        }
        if let Some(config) = config {
            router = router.route("/config", get(async move || Json(config)));
        }
        if let Some(page) = log_filter {
            router = router.merge(page.router());
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

/// HTTP/1 connection.
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
                debug!(peer = %self.peer, %error, "connection failed");
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
        // hyper closes the connection at once if no response has begun.
        self.graceful();
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// Headers of every page: no framing, sniffing, caching or scripts.
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

/// Rendered page, shared by concurrent requests.
type Page = ([(HeaderName, &'static str); 1], Bytes);

fn json(page: &impl Serialize) -> Page {
    // Cannot fail: the pages are maps with string keys.
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
    readiness.run().await
}

/// Renders the page on a blocking thread, so that it delays no call. Returns None if it panics.
async fn write(text: Source<String>) -> Option<Page> {
    let text = spawn_blocking(move || text()).await.ok()?;
    Some(([(CONTENT_TYPE, PROMETHEUS_TEXT)], text.into()))
}
