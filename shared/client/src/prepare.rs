//! Preparation of a call before its first attempt: its deadline, its identity, its headers.

use std::{sync::Arc, time::Duration};

use gantry_contract::{CallContext, Caller, gzip::GZIP};
use gantry_identity::{Acting, ServiceSigner};
use gantry_resilience::{
    deadline::{self, Deadline, GRPC_TIMEOUT},
    retry::PREVIOUS_ATTEMPTS,
};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, Entry},
};
use tokio::time::Instant;

use crate::{observer::inject, policy::Method};

/// Header that correlates log lines and calls.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields that HTTP/2 forbids (RFC 9113, 8.2.2). A caller that passes on the head of another
/// request may bring them.
const OF_A_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Encoding of the request's messages, and the accepted encodings of the response's.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("gantry/", env!("CARGO_PKG_VERSION")));

/// Request extension that names the user of the call. Default: the user of the inbound call, or
/// else the service itself.
#[derive(Clone, Debug)]
pub struct ActingFor(pub Acting);

/// Returns the earliest of the method's timeout, the caller's timeout (the header `grpc-timeout` or
/// a [`Deadline`] extension), and the end of the inbound call.
///
/// # Errors
/// The caller's header is malformed.
pub(crate) fn deadline_of(
    method: &Method,
    request: &mut http::request::Parts,
    context: Option<&CallContext>,
    now: Instant,
    stream_max_age: Duration,
) -> Result<Deadline, deadline::InvalidTimeout> {
    let requested = match request.headers.entry(GRPC_TIMEOUT) {
        Entry::Occupied(timeout) => Some(Deadline::after(now, deadline::decode(timeout.get())?)),
        Entry::Vacant(place) => {
            // Placeholder: each attempt inserts its remaining time into a copy, which then need not
            // grow.
            place.insert(HeaderValue::from_static(""));
            None
        }
    };
    let inherited = context.and_then(|context| context.deadline).map(Deadline::at);
    Ok(Deadline::after(now, method.longest(stream_max_age))
        .earlier(requested)
        .earlier(request.extensions.get().copied())
        .earlier(inherited))
}

/// Adds the token of the caller, the user it acts for, and the request id.
///
/// # Errors
/// Name of the value that is not a valid header.
pub(crate) fn identify(
    request: &mut http::request::Parts,
    context: Option<&CallContext>,
    signer: Option<&Arc<ServiceSigner>>,
    audience: &str,
) -> Result<(), &'static str> {
    let headers = &mut request.headers;
    // Belongs to the inbound call, if present.
    headers.remove(PREVIOUS_ATTEMPTS);
    if let Some(signer) = signer {
        let acting = request
            .extensions
            .remove::<ActingFor>()
            .map_or_else(|| acting(context), |ActingFor(acting)| acting);
        let token = signer.token(audience, acting);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| "the token is no header value")?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
    }
    if let (Some(context), false) = (context, headers.contains_key(REQUEST_ID)) {
        let id = HeaderValue::from_str(&context.request_id)
            .map_err(|_| "the request id is no header value")?;
        headers.insert(REQUEST_ID, id);
    }
    headers.entry(header::USER_AGENT).or_insert(USER_AGENT);
    for name in OF_A_CONNECTION {
        headers.remove(name);
    }
    headers.insert(header::TE, TRAILERS);
    Ok(())
}

/// Compression of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Encoding {
    /// True if the request's messages are compressed here.
    pub(crate) deflate: bool,
    /// True if the response's messages may be compressed and are decompressed here: the caller did
    /// not request compression.
    pub(crate) inflate: bool,
}

/// Adds the headers of compression. A caller that sets them does the compression itself.
pub(crate) fn encode(headers: &mut HeaderMap, compression: bool) -> Encoding {
    const OURS: HeaderValue = HeaderValue::from_static(GZIP);
    let mut encoding = Encoding::default();
    if let Entry::Vacant(place) = headers.entry(ACCEPT_ENCODING) {
        place.insert(OURS);
        encoding.inflate = true;
    }
    if let (true, Entry::Vacant(place)) = (compression, headers.entry(ENCODING)) {
        place.insert(OURS);
        encoding.deflate = true;
    }
    encoding
}

/// Returns the principal of a call made while another is served. A user's call continues in the
/// user's name; a service's own call remains the service's, and carries its cause.
fn acting(context: Option<&CallContext>) -> Acting {
    match context.map(|context| &context.caller) {
        Some(Caller::User(actor) | Caller::Delegate { actor, .. }) => Acting::For(actor.clone()),
        Some(Caller::Service { cause, .. }) => Acting::Itself { cause: cause.clone() },
        Some(Caller::Anonymous) | None => Acting::Itself { cause: None },
    }
}

/// Returns the headers of one attempt: the remaining time, the number of failed attempts before it,
/// and its trace.
pub(crate) fn attempt_headers(
    headers: &HeaderMap,
    left: Duration,
    previous: Option<HeaderValue>,
    span: &tracing::Span,
) -> HeaderMap {
    let mut headers = headers.clone();
    if let Some(previous) = previous {
        headers.insert(PREVIOUS_ATTEMPTS, previous);
    }
    headers.insert(GRPC_TIMEOUT, deadline::encode(left));
    inject(span, &mut headers);
    headers
}
