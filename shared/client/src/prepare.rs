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

/// The header that ties log lines and calls together.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Fields that HTTP/2 forbids (RFC 9113, 8.2.2), as who passes on the head of another request
/// may bring them.
const OF_A_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Encoding of the request's messages, and those that are accepted in answers.
pub(crate) const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");

const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("gantry/", env!("CARGO_PKG_VERSION")));

/// A request extension: in whose name the call is made. Without it, in the name of
/// the user whose call is being served, or else in the service's own.
#[derive(Clone, Debug)]
pub struct ActingFor(pub Acting);

/// The earliest of: the method's own limit, what the caller asks for by the header
/// `grpc-timeout` or a [`Deadline`] in the extensions, and the end of the call that
/// is being served.
///
/// # Errors
/// The header's name and form where the caller's is malformed.
pub(crate) fn deadline_of(
    method: &Method,
    request: &mut http::request::Parts,
    context: Option<&CallContext>,
    now: Instant,
    stream_max_age: Duration,
) -> Result<Deadline, deadline::InvalidTimeout> {
    let asked = match request.headers.entry(GRPC_TIMEOUT) {
        Entry::Occupied(timeout) => Some(Deadline::after(now, deadline::decode(timeout.get())?)),
        Entry::Vacant(place) => {
            // Each attempt inserts its remaining time, into a copy that need not grow.
            place.insert(HeaderValue::from_static(""));
            None
        }
    };
    let inherited = context.and_then(|context| context.deadline).map(Deadline::at);
    Ok(Deadline::after(now, method.longest(stream_max_age))
        .earlier(asked)
        .earlier(request.extensions.get().copied())
        .earlier(inherited))
}

/// Adds the token of the caller, the user it acts for, and the request id.
///
/// # Errors
/// What cannot be a header.
pub(crate) fn identify(
    request: &mut http::request::Parts,
    context: Option<&CallContext>,
    signer: Option<&Arc<ServiceSigner>>,
    audience: &str,
) -> Result<(), &'static str> {
    let headers = &mut request.headers;
    // Of the call that is being served, if it is there: this is another one.
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
    /// The request's messages are to be compressed.
    pub(crate) deflate: bool,
    /// The answer's messages may be compressed, and the caller has not asked for it: it gets
    /// them decompressed.
    pub(crate) inflate: bool,
}

/// Adds the headers of compression. A caller that brings its own does for itself what they say.
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

/// For whom a call is made while another one is served: a user's call goes on in the
/// user's name; a service's own call remains the service's, and tells its cause.
fn acting(context: Option<&CallContext>) -> Acting {
    match context.map(|context| &context.caller) {
        Some(Caller::User(actor) | Caller::Delegate { actor, .. }) => Acting::For(actor.clone()),
        Some(Caller::Service { cause, .. }) => Acting::Itself { cause: cause.clone() },
        Some(Caller::Anonymous) | None => Acting::Itself { cause: None },
    }
}

/// The headers of one attempt: what is left of the time, how many attempts failed before,
/// and the trace it belongs to.
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
