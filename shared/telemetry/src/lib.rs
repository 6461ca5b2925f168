//! What a process tells of itself: log lines, trace ids, and what it was built from.
//!
//! [`init`] is called once, by main. From then on
//!
//! - each event that passes the filter is a line on stderr, for people or as JSON,
//!   with the `trace_id` and the `request_id` of the span it happens in;
//! - spans are OpenTelemetry spans: they have ids, and the W3C propagators that are
//!   installed carry those and the baggage across calls. Nothing is exported, so a trace that
//!   begins here is marked as not sampled; one that arrives sampled stays so;
//! - e-mail addresses and tokens are cut out of every line ([`redact`]). This is the
//!   net below the rule that nothing logs them, not a leave to do so.
//!
//! A span says its request id in a field `request_id`. Spans of level `INFO` and
//! above exist whatever the filter says, so that a warning has its ids also where
//! only warnings are shown.

mod build_info;
mod line;
mod logs;
mod metrics;
mod redact;
mod settings;

use opentelemetry::{propagation::TextMapCompositePropagator, trace::TracerProvider};
use opentelemetry_sdk::{
    Resource,
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::{Sampler, SdkTracerProvider},
};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, filter_fn},
    fmt::MakeWriter,
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use build_info::{BUILD, BuildInfo};
pub use metrics::{Metrics, MetricsError};
pub use opentelemetry::metrics::Meter;
pub use redact::redact;
pub use settings::{Filter, Format, InvalidFilter, Settings};

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The process has a subscriber already.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
}

/// Ends telemetry when dropped: main holds it to its end.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
}

/// Sets up logs and spans for the process, which calls itself `service`.
///
/// # Errors
/// [`InitError::AlreadySet`] the second time.
pub fn init(settings: &Settings, service: &str) -> Result<Guard, InitError> {
    let (subscriber, provider) = subscriber(settings, service, std::io::stderr);
    subscriber.try_init()?;
    opentelemetry::global::set_text_map_propagator(propagator());
    Ok(Guard { provider })
}

/// What calls say of the trace they belong to: W3C's `traceparent`, `tracestate` and `baggage`.
fn propagator() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "spans not flushed");
        }
    }
}

fn subscriber<W>(
    settings: &Settings,
    service: &str,
    writer: W,
) -> (impl Subscriber + Send + Sync + use<W>, SdkTracerProvider)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let resource = Resource::builder().with_service_name(service.to_owned()).build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOff)))
        .build();
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("gantry"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_lasting_span));
    let wanted = EnvFilter::from(settings.filter.clone());
    let logs = logs::Logs::new(settings.format, service, writer)
        .with_filter(wanted.or(filter_fn(is_lasting_span)));
    (Registry::default().with(spans).with(logs), provider)
}

/// Whether this is a span that exists whatever the filter says.
fn is_lasting_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
