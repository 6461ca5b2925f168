//! Tracing layer that writes log lines.

use std::{fmt, sync::Arc, time::Instant};

use opentelemetry::trace::TraceContextExt;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::{
    limit::Limiter,
    line::{Line, Style, clean},
    output::Output,
};

/// Writes a line for each event, up to the limit of its kind.
pub(crate) struct Logs {
    pub(crate) style: Style,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) output: Output,
}

/// Request id of a span, stored with it.
struct RequestId(String);

impl<S> Layer<S> for Logs
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, ctx: Context<'_, S>) {
        let mut found = FindRequestId(None);
        attributes.record(&mut found);
        keep(found, id, &ctx);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let mut found = FindRequestId(None);
        values.record(&mut found);
        keep(found, id, &ctx);
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let line = Line::new(event, trace_id(), request_id(event, &ctx));
        if self.limiter.admits(event.metadata(), &line, Instant::now()) {
            self.output.queue().push(line.level, &self.style.render(&line));
        }
    }
}

fn keep<S>(found: FindRequestId, id: &span::Id, ctx: &Context<'_, S>)
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if let (Some(request_id), Some(span)) = (found.0, ctx.span(id)) {
        span.extensions_mut().replace(RequestId(request_id));
    }
}

/// Returns the request id of the nearest enclosing span that has one.
fn request_id<S>(event: &Event<'_>, ctx: &Context<'_, S>) -> Option<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    ctx.event_scope(event)?
        .find_map(|span| span.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()))
}

/// Returns the trace id of the entered span, which is OpenTelemetry's current one.
fn trace_id() -> Option<String> {
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

struct FindRequestId(Option<String>);

impl Visit for FindRequestId {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "request_id" {
            self.0 = Some(clean(&format!("{value:?}")));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "request_id" {
            self.0 = Some(clean(value));
        }
    }
}
