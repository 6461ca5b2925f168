//! What is decided about a call before its first attempt: how it may be sent, how
//! long it may take, and the headers that say who calls and why.

use std::{collections::HashMap, sync::Arc, time::Duration};

use gantry_contract::{CallContext, Caller, Contract, Idempotency, MethodKind, MethodPolicy};
use gantry_identity::{Acting, ServiceSigner};
use gantry_resilience::deadline::{self, Deadline, GRPC_TIMEOUT};
use http::{HeaderMap, HeaderName, HeaderValue, header};
use tokio::time::Instant;

/// The header that ties log lines and calls together.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("gantry/", env!("CARGO_PKG_VERSION")));

/// A request extension: in whose name the call is made. Without it, in the name of
/// the user whose call is being served, or else in the service's own.
#[derive(Clone, Debug)]
pub struct ActingFor(pub Acting);

/// How a method is called.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// One message, kept so that it can be sent again.
    Unary(&'static MethodPolicy),
    /// A stream, or a method that the contract does not know: passed through.
    Stream(Option<&'static MethodPolicy>),
}

/// The methods of a contract by their paths.
#[derive(Debug)]
pub(crate) struct Methods(HashMap<&'static str, &'static MethodPolicy>);

impl Methods {
    pub(crate) fn new(contract: &'static Contract) -> Self {
        Self(contract.methods().map(|method| (method.path, method)).collect())
    }

    pub(crate) fn manner(&self, path: &str) -> Manner {
        match self.0.get(path) {
            Some(&policy) if policy.kind == MethodKind::Unary => Manner::Unary(policy),
            policy => Manner::Stream(policy.copied()),
        }
    }
}

impl Manner {
    /// Whether the call does no harm when it has to be made again.
    pub(crate) fn repeatable(self) -> bool {
        let (Self::Unary(policy) | Self::Stream(Some(policy))) = self else { return false };
        match policy.idempotency {
            Idempotency::NoSideEffects | Idempotency::Idempotent => true,
            Idempotency::NotIdempotent => false,
        }
    }

    /// The longest the whole call may take.
    fn longest(self, stream_max_age: Duration) -> Duration {
        match self {
            Self::Unary(policy) => policy.timeout,
            Self::Stream(_) => stream_max_age,
        }
    }

    /// The longest silence of a stream that the contract knows.
    pub(crate) fn silence(self) -> Option<Duration> {
        match self {
            Self::Unary(_) | Self::Stream(None) => None,
            Self::Stream(Some(policy)) => Some(policy.timeout),
        }
    }
}

/// The earliest of: the method's own limit, what the caller asks for by the header
/// `grpc-timeout` or a [`Deadline`] in the extensions, and the end of the call that
/// is being served.
///
/// # Errors
/// The header's name and form where the caller's is malformed.
pub(crate) fn deadline_of(
    manner: Manner,
    request: &mut http::request::Parts,
    context: Option<&CallContext>,
    now: Instant,
    stream_max_age: Duration,
) -> Result<Deadline, deadline::InvalidTimeout> {
    let asked = match request.headers.remove(GRPC_TIMEOUT) {
        Some(timeout) => Some(Deadline::after(now, deadline::decode(&timeout)?)),
        None => None,
    };
    let inherited = context.and_then(|context| context.deadline).map(Deadline::at);
    Ok(Deadline::after(now, manner.longest(stream_max_age))
        .earlier(asked)
        .earlier(request.extensions.get().copied())
        .earlier(inherited))
}

/// Adds who calls, for whom, and the request id.
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
    Ok(())
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

/// The headers of one attempt: what is left of the time, and the trace it belongs to.
pub(crate) fn attempt_headers(
    headers: &HeaderMap,
    left: Duration,
    span: &tracing::Span,
) -> HeaderMap {
    let mut headers = headers.clone();
    headers.insert(GRPC_TIMEOUT, deadline::encode(left));
    crate::trace::inject(span, &mut headers);
    headers
}
