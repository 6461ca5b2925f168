//! Spans: one per call, with its attempts as children.

use std::net::SocketAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{global, propagation::Injector};
use tonic::Code;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The span of a logical call, all attempts included.
pub(crate) fn call(service: &str, path: &str) -> Span {
    let (rpc_service, rpc_method) =
        path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    tracing::info_span!(
        "grpc.call",
        otel.name = path.trim_start_matches('/'),
        otel.kind = "client",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = rpc_service,
        rpc.method = rpc_method,
        peer.service = service,
        rpc.grpc.status_code = Empty,
    )
}

/// The span of one attempt.
pub(crate) fn attempt(call: &Span, number: u32, endpoint: SocketAddr) -> Span {
    tracing::info_span!(
        parent: call,
        "grpc.attempt",
        rpc.attempt = number,
        server.address = %endpoint.ip(),
        server.port = endpoint.port(),
    )
}

/// Records how a call ended.
pub(crate) fn ended(call: &Span, code: Code) {
    call.record("rpc.grpc.status_code", code as i32);
    if code != Code::Ok {
        call.record("otel.status_code", "ERROR");
    }
}

/// Writes the span's trace context into the headers, as the process's propagator does.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    let context = span.context();
    global::get_text_map_propagator(|propagator| {
        propagator.inject_context(&context, &mut Headers(headers));
    });
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // Propagators write tokens and printable values; what is neither is left out.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value))
        {
            self.0.insert(name, value);
        }
    }
}
