//! Observation of a call: its spans and its metrics.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_contract::code_name;
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{global, propagation::Injector};
use tonic::Code;
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::metrics::{AttemptEnded, CallEnded, Metrics};

/// Observer of one call: its span, and the metrics of its channel.
#[derive(Debug)]
pub(crate) struct CallObserver {
    span: Span,
    metrics: Option<Arc<dyn Metrics>>,
    ended: bool,
}

impl CallObserver {
    /// Opens the span of a logical call, all attempts included. Names and values follow
    /// OpenTelemetry's conventions for gRPC.
    pub(crate) fn new(service: &str, path: &str, metrics: Option<Arc<dyn Metrics>>) -> Self {
        let method = path.trim_start_matches('/');
        let span = tracing::info_span!(
            "grpc.call",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = Empty,
            rpc.system.name = "grpc",
            rpc.method = method,
            rpc.response.status_code = Empty,
            "error.type" = Empty,
            peer.service = service,
        );
        Self { span, metrics, ended: false }
    }

    /// Returns the span of the call.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Opens the span of an attempt.
    pub(crate) fn attempt(&self, number: u32, endpoint: SocketAddr) -> Span {
        tracing::info_span!(
            parent: &self.span,
            "grpc.attempt",
            rpc.attempt = number,
            server.address = %endpoint.ip(),
            server.port = endpoint.port(),
        )
    }

    /// Reports an ended attempt.
    pub(crate) fn attempt_ended<'a>(&self, ended: impl FnOnce() -> AttemptEnded<'a>) {
        if let Some(metrics) = &self.metrics {
            metrics.attempt(&ended());
        }
    }

    /// Reports a retry after a wait.
    pub(crate) fn retrying(&self, service: &str, path: &str, after: Duration) {
        if let Some(metrics) = &self.metrics {
            metrics.retry(service, path, after);
        }
    }

    /// Reports a hedge.
    pub(crate) fn hedging(&self, service: &str, path: &str) {
        if let Some(metrics) = &self.metrics {
            metrics.hedge(service, path);
        }
    }

    /// Reports the end of the call with this status. Only the first report counts.
    pub(crate) fn call_ended<'a>(&mut self, code: Code, ended: impl FnOnce() -> CallEnded<'a>) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.span.record("rpc.response.status_code", code_name(code));
        if code != Code::Ok {
            self.span.record("otel.status_code", "ERROR");
            self.span.record("error.type", code_name(code));
        }
        if let Some(metrics) = &self.metrics {
            metrics.call(&ended());
        }
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
        // Propagators write tokens and printable values; any other value is left out.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value))
        {
            self.0.insert(name, value);
        }
    }
}
