//! Passes on gRPC calls of known methods and rejects everything else.

use std::convert::Infallible;

use gantry_contract::{Failure, GantryReason, gzip::GZIP};
use http::{
    HeaderMap, HeaderValue, Method as Verb, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE},
};
use hyper::service::Service;
use tonic::{Code, Status, metadata::MetadataValue};

use super::admission::Admission;
use crate::{
    call::{Arrived, Route, Routed},
    status::ENCODING,
};

#[derive(Clone, Debug)]
pub(crate) struct FindRoute<S> {
    inner: S,
}

impl<S> FindRoute<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B, R> Service<Arrived<B>> for FindRoute<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Admission<S::Future, R>;

    fn call(&self, Arrived { call, http }: Arrived<B>) -> Self::Future {
        if http.method() != Verb::POST {
            let mut answer = bare(StatusCode::METHOD_NOT_ALLOWED);
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return Admission::answer(answer);
        }
        if !is_grpc(http.headers()) {
            return Admission::answer(bare(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if let Some(too_large) = call.too_large {
            return Admission::refuse(Failure::new(
                Code::ResourceExhausted,
                GantryReason::MetadataTooLarge,
                too_large.to_string(),
            ));
        }
        let method = match &call.route {
            Route::Known(method) => *method,
            Route::Unknown(path) => {
                return Admission::refuse(Failure::new(
                    Code::Unimplemented,
                    GantryReason::MethodUnknown,
                    format!("unknown method: {path}"),
                ));
            }
        };
        let mut encodings = http.headers().get_all(ENCODING).iter();
        if let Some(encoding) = encodings.find(|e| *e != "identity" && *e != GZIP) {
            return Admission::refuse(not_encoded(encoding));
        }
        Admission::pass(self.inner.call(Routed { call, method, http }))
    }
}

/// Returns the refusal that gRPC's compression specification requires: a client can retry with one
/// of the listed encodings.
fn not_encoded(encoding: &HeaderValue) -> Status {
    let mut status = Status::from(Failure::new(
        Code::Unimplemented,
        GantryReason::EncodingUnknown,
        format!("message encoding {encoding:?} is not supported: send gzip or identity"),
    ));
    let taken = MetadataValue::from_static("identity,gzip");
    status.metadata_mut().insert("grpc-accept-encoding", taken);
    status
}

fn bare<R: Default>(status: StatusCode) -> Response<R> {
    let mut answer = Response::new(R::default());
    *answer.status_mut() = status;
    answer
}

/// Returns true for `application/grpc`, with parameters or with `+proto`; false for gRPC-Web and
/// other message formats.
fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .map(|value| value.split(';').next().unwrap_or(value).trim())
        .is_some_and(|kind| {
            kind.eq_ignore_ascii_case("application/grpc")
                || kind.eq_ignore_ascii_case("application/grpc+proto")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_detected_by_its_content_type() {
        let judged = |kind: &'static str| {
            is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        for kind in ["application/grpc", "application/grpc+proto", "Application/gRPC; a=b"] {
            assert!(judged(kind), "{kind}");
        }
        for kind in
            ["", "application/json", "application/grpc-web", "application/grpc+json", "grpc"]
        {
            assert!(!judged(kind), "{kind}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
