//! The layer that writes log lines.

use std::{
    fmt,
    io::{IsTerminal, Write},
};

use opentelemetry::trace::TraceContextExt;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    fmt::MakeWriter,
    layer::{Context, Layer},
    registry::LookupSpan,
};

use crate::{line::Line, settings::Format};

/// Writes a line for each event.
pub(crate) struct Logs<W> {
    format: Format,
    colours: bool,
    service: String,
    writer: W,
}

/// Kept with a span that says its request id.
struct RequestId(String);

impl<W> Logs<W> {
    pub(crate) fn new(format: Format, service: &str, writer: W) -> Self {
        let colours = std::io::stderr().is_terminal();
        Self { format, colours, service: service.to_owned(), writer }
    }
}

impl<S, W> Layer<S> for Logs<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'w> MakeWriter<'w> + 'static,
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
        let line = match self.format {
            Format::Json => line.json(&self.service),
            Format::Pretty => line.pretty(self.colours),
        };
        // Whole lines at once, so that those of several threads do not mix. Where
        // stderr is gone there is nobody to tell.
        let _ = self.writer.make_writer_for(event.metadata()).write_all(line.as_bytes());
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

/// Of the nearest span around that says one.
fn request_id<S>(event: &Event<'_>, ctx: &Context<'_, S>) -> Option<String>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    ctx.event_scope(event)?
        .find_map(|span| span.extensions().get::<RequestId>().map(|RequestId(id)| id.clone()))
}

/// Of the span that the thread is in: entering it makes it OpenTelemetry's current one.
fn trace_id() -> Option<String> {
    let context = opentelemetry::Context::current();
    let span = context.span().span_context().clone();
    span.is_valid().then(|| span.trace_id().to_string())
}

struct FindRequestId(Option<String>);

impl Visit for FindRequestId {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "request_id" {
            self.0 = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "request_id" {
            self.0 = Some(value.to_owned());
        }
    }
}
