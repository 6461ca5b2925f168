//! The admin server: plain HTTP on a port of its own, never a public one.
//!
//! | path | answers |
//! |---|---|
//! | `/livez`, `/healthz` | 200 while the process runs |
//! | `/readyz` | 200 where every server serves and every dependency answers within 3 s, otherwise 503; JSON that names each |

use std::{future::Future, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State as Shared, response::IntoResponse, routing::get};
use futures_util::future::join_all;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        X_FRAME_OPTIONS,
    },
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde::Serialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

use crate::{
    connections::{self, Connections, Ends},
    readiness::{Report, Status},
};

/// Answers are short: whoever has not read one by then is not waited for.
const DRAIN: Duration = Duration::from_secs(1);

/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// Operators and their probes: more are too many.
const MAX_CONNECTIONS: usize = 100;

/// Tells of all servers of a process.
#[derive(Clone, Debug, Default)]
#[must_use = "an admin server does nothing until it serves"]
pub struct Admin {
    servers: Vec<Status>,
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

    /// Serves until `shutdown`. For `/readyz` to tell of a drain, that has to be
    /// after the servers have drained.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let router = self.router();
        let mut connections = Connections::new(MAX_CONNECTIONS);
        let (stop, goaway) = (CancellationToken::new(), connections.goaway.clone());
        let mut protocol = http1::Builder::new();
        protocol.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        let accept = connections.accept(listener, stop.clone(), |stream, peer| {
            let service = TowerToHyperService::new(router.clone());
            let connection = protocol.serve_connection(TokioIo::new(stream), service);
            let ends = Ends { goaway: goaway.clone(), age: None, cut: CancellationToken::new() };
            connections::run(connection, peer, ends, |connection| connection.graceful_shutdown())
        });
        let until = async {
            shutdown.await;
            stop.cancel();
        };
        tokio::join!(until, accept);
        connections.drain(DRAIN).await;
    }

    fn router(self) -> Router {
        let router = Router::new()
            .route("/livez", get(live))
            .route("/healthz", get(live))
            .route("/readyz", get(ready))
            .with_state(Arc::from(self.servers));
        SECURITY_HEADERS.into_iter().fold(router, |router, (name, value)| {
            let value = HeaderValue::from_static(value);
            router.layer(SetResponseHeaderLayer::overriding(name, value))
        })
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

async fn ready(Shared(servers): Shared<Arc<[Status]>>) -> impl IntoResponse {
    let servers = join_all(servers.iter().map(Status::report)).await;
    let (code, status) = if servers.iter().all(|server| server.ready) {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, Json(Readiness { status, servers }))
}
