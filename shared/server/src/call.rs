//! One call on its way in, and what is known of it at each stage.
//!
//! Each stage is a type that only the layer before it makes: a handler cannot be
//! reached with a call that was not authorized.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::{Authorized, Caller};
use http::{HeaderMap, HeaderValue, Request};
use http_body::Body;
use tokio::time::Instant;
use tracing::Span;

use crate::{
    connection::{Connection, HeadersTooLarge, InfrastructureCall},
    methods::Method,
};

/// The longest unknown path that is logged or repeated to the caller.
const MAX_PATH: usize = 128;

/// The body of an answer, which may have to end while nobody asks for more of it.
pub(crate) trait Timed: Body {
    /// The trailers that end it once its time is over: asked for while its peer does not
    /// take what it gave last.
    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeaderMap>;
}

/// What the layers tell each other about a call: written inside, read outside,
/// where the call is logged.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request_id: Arc<str>,
    pub(crate) route: Route,
    pub(crate) connection: Arc<Connection>,
    /// The address it comes from, behind the proxies that are believed.
    pub(crate) client: IpAddr,
    pub(crate) received: Instant,
    pub(crate) span: OnceLock<Span>,
    pub(crate) deadline: OnceLock<Instant>,
    pub(crate) caller: OnceLock<String>,
    /// The `authorization` that it brought, for the log of a failure.
    pub(crate) credentials: OnceLock<HeaderValue>,
    /// Its headers are refused.
    pub(crate) too_large: Option<HeadersTooLarge>,
    /// Its place among the calls of health and reflection, if it is one.
    pub(crate) infrastructure: OnceLock<InfrastructureCall>,
    panicked: AtomicBool,
}

/// What a call asks for.
#[derive(Debug)]
pub(crate) enum Route {
    /// A method of this server.
    Known(Method),
    /// A path that names none; cut where it is long.
    Unknown(Box<str>),
}

impl Route {
    pub(crate) fn unknown(path: &str) -> Self {
        Self::Unknown(path[..path.floor_char_boundary(MAX_PATH)].into())
    }

    /// The path, without its leading slash.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Known(method) => method.name(),
            Self::Unknown(path) => path.trim_start_matches('/'),
        }
    }

    pub(crate) fn is_infrastructure(&self) -> bool {
        matches!(self, Self::Known(method) if method.infrastructure)
    }
}

impl Call {
    pub(crate) fn new(
        request_id: Arc<str>,
        route: Route,
        connection: Arc<Connection>,
        client: IpAddr,
        received: Instant,
        too_large: Option<HeadersTooLarge>,
    ) -> Self {
        Self {
            request_id,
            route,
            connection,
            client,
            received,
            span: OnceLock::new(),
            deadline: OnceLock::new(),
            caller: OnceLock::new(),
            credentials: OnceLock::new(),
            too_large,
            infrastructure: OnceLock::new(),
            panicked: AtomicBool::new(false),
        }
    }

    /// Notes that the handler or a layer panicked, so that the end of the call is
    /// not taken for its cancellation.
    pub(crate) fn set_panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// It came in on a connection.
pub(crate) struct Received<B> {
    pub(crate) connection: Arc<Connection>,
    pub(crate) at: Instant,
    pub(crate) too_large: Option<HeadersTooLarge>,
    pub(crate) http: Request<B>,
}

/// It has an id.
pub(crate) struct Arrived<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) http: Request<B>,
}

/// It is a gRPC call of a method this server has.
pub(crate) struct Routed<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) http: Request<B>,
}

/// Its caller is known, be it as anonymous.
pub(crate) struct Authenticated<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) caller: Caller,
    pub(crate) http: Request<B>,
}

/// Hashes under a secret of the process, by which callers are told apart: nobody can choose
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallerHashes {
    /// The caller; an anonymous one is its source.
    pub(crate) caller: u64,
    /// The source of the call.
    pub(crate) source: u64,
}

/// Its caller does not call too often.
pub(crate) struct Limited<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) caller: Caller,
    pub(crate) key: CallerHashes,
    pub(crate) http: Request<B>,
}

/// Its caller may make it.
pub(crate) struct Permitted<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) key: CallerHashes,
    pub(crate) authorized: Authorized,
    pub(crate) http: Request<B>,
}

/// The messages of a request.
pub(crate) enum Message<B> {
    /// The only one, with its prefix.
    One(Bytes),
    /// A stream of them.
    Stream(B),
}

/// Its message is complete, if it has one and not a stream of them.
pub(crate) struct Complete<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) key: CallerHashes,
    pub(crate) authorized: Authorized,
    /// The time from which it counts as the server's work.
    pub(crate) at: Instant,
    pub(crate) http: Request<B>,
}
