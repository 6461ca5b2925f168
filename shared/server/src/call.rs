//! Stages of a call on its way to the handler, and the data known at each.
//!
//! Only the preceding layer can make the type of a stage, so an unauthorized call cannot reach a
//! handler.

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

/// Maximum length of an unknown path in the log and in the response, in bytes.
const MAX_PATH: usize = 128;

/// Response body with a deadline. The deadline ends it even if the peer reads nothing.
pub(crate) trait Timed: Body {
    /// Returns the trailers that end the body at its deadline. Polled while the peer does not read
    /// the previous frame.
    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeaderMap>;
}

/// Data of a call that its layers share: set by the inner ones, read by the outer ones for the log.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) request_id: Arc<str>,
    pub(crate) route: Route,
    pub(crate) connection: Arc<Connection>,
    /// Client address, as reported by the trusted proxies.
    pub(crate) client: IpAddr,
    pub(crate) received: Instant,
    pub(crate) span: OnceLock<Span>,
    pub(crate) deadline: OnceLock<Instant>,
    pub(crate) caller: OnceLock<String>,
    /// Received `authorization` header, for the log of a failure.
    pub(crate) credentials: OnceLock<HeaderValue>,
    /// Set if its headers exceed a limit and the call is refused.
    pub(crate) too_large: Option<HeadersTooLarge>,
    /// Permit of a health or reflection call.
    pub(crate) infrastructure: OnceLock<InfrastructureCall>,
    panicked: AtomicBool,
}

/// Target of a call.
#[derive(Debug)]
pub(crate) enum Route {
    /// Method of this server.
    Known(Method),
    /// Path of no method, truncated to [`MAX_PATH`].
    Unknown(Box<str>),
}

impl Route {
    pub(crate) fn unknown(path: &str) -> Self {
        Self::Unknown(path[..path.floor_char_boundary(MAX_PATH)].into())
    }

    /// Returns the path without its leading slash.
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

    /// Records that the handler or a layer panicked, so that the end of the call is not recorded as
    /// a cancellation.
    pub(crate) fn set_panicked(&self) {
        self.panicked.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_panicked(&self) -> bool {
        self.panicked.load(Ordering::Relaxed)
    }
}

/// Call received on a connection.
pub(crate) struct Received<B> {
    pub(crate) connection: Arc<Connection>,
    pub(crate) at: Instant,
    pub(crate) too_large: Option<HeadersTooLarge>,
    pub(crate) http: Request<B>,
}

/// Call with a request id.
pub(crate) struct Arrived<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) http: Request<B>,
}

/// gRPC call of a method of this server.
pub(crate) struct Routed<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) http: Request<B>,
}

/// Call with a known caller, possibly an anonymous one.
pub(crate) struct Authenticated<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) caller: Caller,
    pub(crate) http: Request<B>,
}

/// Hashes that identify a caller. Keyed with a secret of the process, so that a caller cannot
/// choose its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallerHashes {
    /// Hash of the caller; for an anonymous caller, of its source.
    pub(crate) caller: u64,
    /// Hash of the source of the call.
    pub(crate) source: u64,
}

/// Call within its rate limits.
pub(crate) struct Limited<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) caller: Caller,
    pub(crate) key: CallerHashes,
    pub(crate) http: Request<B>,
}

/// Call that its caller is authorized to make.
pub(crate) struct Permitted<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) key: CallerHashes,
    pub(crate) authorized: Authorized,
    pub(crate) http: Request<B>,
}

/// Messages of a request.
pub(crate) enum Message<B> {
    /// The single message, with its length prefix.
    One(Bytes),
    /// Message stream.
    Stream(B),
}

/// Call with a complete message, or with a message stream.
pub(crate) struct Complete<B> {
    pub(crate) call: Arc<Call>,
    pub(crate) method: Method,
    pub(crate) key: CallerHashes,
    pub(crate) authorized: Authorized,
    /// Start of the server's work on the call. The concurrency limit measures latency from here.
    pub(crate) at: Instant,
    pub(crate) http: Request<B>,
}
