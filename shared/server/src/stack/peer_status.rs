//! Replaces the status of an outbound call that a handler returns unchanged, and logs the original.
//! See [`gantry_contract::called`].

use gantry_contract::called::{CALLED_SERVICE, STATUS_ORIGIN, public};
use http::{HeaderMap, Response};
use tonic::{Code, Status, body::Body};

use crate::status::trailers;

/// Converts a response with a status in its headers. Must run in the context of the call.
pub(super) fn head(answer: Response<Body>) -> Response<Body> {
    match replacement(answer.headers()) {
        Some(status) => status.into_http(),
        None => answer,
    }
}

/// Converts trailers. Must run in the context of the call.
pub(super) fn end(given: HeaderMap) -> HeaderMap {
    replacement(&given).map_or(given, |status| trailers(&status))
}

fn replacement(headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key(CALLED_SERVICE) {
        return None;
    }
    // Tonic just encoded it, so it can be decoded.
    let status = Status::from_header_map(headers)?;
    let shown = public(&status)?;
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    // The level of a tracing macro is fixed. The channel itself warns of an unavailable service.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                service = text(CALLED_SERVICE),
                origin = text(STATUS_ORIGIN),
                code = ?status.code(),
                message = status.message(),
                endpoint = text("gantry-endpoint"),
                shown = ?shown.code(),
                "handler returned the status of a call to another service"
            )
        };
    }
    if shown.code() == Code::Internal {
        line!(error);
    } else {
        line!(debug);
    }
    Some(shown)
}
