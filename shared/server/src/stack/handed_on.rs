//! Replaces the status of a call to another service that a handler hands on, and logs the truth.
//! See [`gantry_contract::called`].

use gantry_contract::called::{CALLED_SERVICE, STATUS_ORIGIN, public};
use http::{HeaderMap, Response};
use tonic::{Code, Status, body::Body};

use crate::status::trailers;

/// The answer that the caller gets. Called within the context of the call.
pub(super) fn head(answer: Response<Body>) -> Response<Body> {
    match told(answer.headers()) {
        Some(status) => status.into_http(),
        None => answer,
    }
}

/// The trailers that the caller gets. Called within the context of the call.
pub(super) fn end(given: HeaderMap) -> HeaderMap {
    told(&given).map_or(given, |status| trailers(&status))
}

fn told(headers: &HeaderMap) -> Option<Status> {
    if !headers.contains_key(CALLED_SERVICE) {
        return None;
    }
    // What tonic wrote just now it can read.
    let status = Status::from_header_map(headers)?;
    let told = public(&status)?;
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    // A macro's level is fixed. A service that is away is warned of by the channel.
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                service = text(CALLED_SERVICE),
                origin = text(STATUS_ORIGIN),
                code = ?status.code(),
                message = status.message(),
                endpoint = text("gantry-endpoint"),
                told = ?told.code(),
                "a handler handed on the status of a call to another service"
            )
        };
    }
    if told.code() == Code::Internal {
        line!(error);
    } else {
        line!(debug);
    }
    Some(told)
}
