//! Trace contexts as text, for work that outlives its call.

use std::collections::HashMap;

use opentelemetry::{propagation::TextMapPropagator, trace::TraceContextExt};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Header of a W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// Returns the trace context of the current span as a W3C `traceparent`. None if there are no
/// traces.
pub fn traceparent() -> Option<String> {
    let context = Span::current().context();
    if !context.span().span_context().is_valid() {
        return None;
    }
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&context, &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes a span, which was not entered yet, a child of the span with this `traceparent`. Does nothing
/// if the value is invalid or if there are no traces.
pub fn join_trace(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    let parent = TraceContextPropagator::new().extract(&carrier);
    if parent.span().span_context().is_valid() {
        // Fails if no traces are collected; then there is no trace to join.
        let _ = span.set_parent(parent);
    }
}
