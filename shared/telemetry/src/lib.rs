//! Telemetry of a process: log lines, trace ids, metrics and build information.
//!
//! Main calls [`init`] once. Afterwards:
//!
//! - Each event that passes the filter becomes a line on stderr, as text or JSON, with the
//!   `trace_id` and the `request_id` of its span. Each panic becomes a line too.
//! - Logging never blocks. Lines wait in a bounded queue for a writer thread. If the queue is full,
//!   lines are dropped and counted (`gantry_log_lines_dropped_total`).
//! - Warnings, and events with a field `log.kind`, are limited to 10 lines per kind and second. One
//!   line every 10 s reports how many were omitted.
//! - Unprintable characters are escaped as `\u{9b}`.
//! - Spans are OpenTelemetry spans with ids. W3C propagators carry the ids and the baggage across
//!   calls. With `traces.exporter = "otlp"` sampled spans go to a collector, in batches from a
//!   bounded queue: a call never waits for it. Without it, a trace that begins here is marked as not
//!   sampled. An incoming sampled trace stays sampled.
//! - The filter can be changed while the process runs ([`LogFilter`]).
//! - E-mail addresses and tokens are removed from every line and every exported attribute
//!   ([`redact`]). This is a safety net; code must not log them.
//!
//! A span has its request id in a field `request_id`. Spans of level `INFO` and above exist even if
//! the filter hides them. A warning thus has the ids of its span even if the filter shows only
//! warnings.

mod build_info;
mod dropped;
mod escape;
mod limit;
mod line;
mod log_filter;
mod logs;
mod metrics;
mod otlp;
mod output;
mod panics;
mod redact;
mod resource;
mod settings;
mod spans;
mod trace;
mod variables;

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::{propagation::TextMapCompositePropagator, trace::TracerProvider};
use opentelemetry_sdk::{
    propagation::{BaggagePropagator, TraceContextPropagator},
    trace::SdkTracerProvider,
};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use build_info::{BUILD, BuildInfo};
pub use log_filter::{LogEnded, LogFilter};
pub use metrics::{Metrics, MetricsError};
pub use opentelemetry::metrics::{Counter, Histogram, Meter};
pub use redact::redact;
pub use settings::{
    Exporter, Filter, Format, InvalidFilter, InvalidSetting, MetricsSettings, OtlpSettings,
    Protocol, Sampler, Settings, TracesSettings,
};
pub use trace::{join_trace, traceparent};
pub use variables::VARIABLES;

use self::{
    limit::Limiter,
    line::Style,
    logs::Logs,
    output::{Output, Queue},
    spans::{Exported, StartError},
};

/// Maximum time that dropping the [`Guard`] waits for the last spans to be exported.
const EXPORT: Duration = Duration::from_secs(3);

/// Maximum time that dropping the [`Guard`] waits for the log to be written.
const FLUSH: Duration = Duration::from_secs(1);

/// Error of [`init`].
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The process already has a subscriber.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The writer thread cannot be started.
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// The settings of the collector are unusable.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The exporting thread cannot be started.
    #[error("the thread that exports spans cannot be started: {0}")]
    Export(io::Error),
}

/// Guard that keeps telemetry running. Main holds it to the end of the process. Dropping it waits
/// up to 3 s for the last spans to be exported, and up to 1 s for the log to be written.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
    filter: LogFilter,
    style: Style,
    limiter: Arc<Limiter>,
    queue: Arc<Queue>,
}

impl Guard {
    /// Returns the filter of the log, to change it.
    pub fn log_filter(&self) -> LogFilter {
        self.filter.clone()
    }
}

/// Sets up logs and spans for the process of `service`.
///
/// # Errors
/// [`InitError::AlreadySet`] on a second call, [`InitError::Setting`] if the collector's settings are
/// unusable, [`InitError::Thread`] or [`InitError::Export`] if a thread cannot be started.
pub fn init(settings: &Settings, service: &str) -> Result<Guard, InitError> {
    init_services(settings, service, &[service])
}

/// Like [`init`], for a process that runs `services`. Log lines have the name of the process, exported
/// spans that of their service. Among several services, the span of an inbound call or a saga names
/// its service in the attribute `gantry.service`; spans below it belong to the same service, others
/// to the process.
///
/// # Errors
/// Those of [`init`].
pub fn init_services(
    settings: &Settings,
    process: &str,
    services: &[&str],
) -> Result<Guard, InitError> {
    let style = Style::of_stderr(settings.format, process);
    let exported = match Exported::start(settings, process, services) {
        Ok(exported) => exported,
        Err(StartError::Setting(invalid)) => return Err(invalid.into()),
        Err(StartError::Thread(error)) => return Err(InitError::Export(error)),
    };
    let (subscriber, guard) = subscriber(settings, style, stderr(), exported)?;
    subscriber.try_init()?;
    panics::log(guard.style.clone(), Arc::clone(&guard.queue));
    opentelemetry::global::set_text_map_propagator(propagator());
    Ok(guard)
}

/// Returns stderr without std's lock. A blocked write would hold that lock and block every other
/// user of stderr.
fn stderr() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    {
        use std::os::fd::AsFd;
        if let Ok(own) = io::stderr().as_fd().try_clone_to_owned() {
            return Box::new(std::fs::File::from(own));
        }
    }
    Box::new(io::stderr())
}

/// Returns the propagator of W3C's `traceparent`, `tracestate` and `baggage`.
fn propagator() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(EXPORT) {
            tracing::warn!(%error, "the last spans were not exported");
        }
        for line in self.limiter.report(Instant::now()) {
            self.queue.push(line.level, &self.style.render(&line));
        }
        self.queue.flush(FLUSH);
    }
}

fn subscriber(
    settings: &Settings,
    style: Style,
    writer: Box<dyn Write + Send>,
    exported: Option<Exported>,
) -> io::Result<(impl Subscriber + Send + Sync + use<>, Guard)> {
    let sampler = spans::sampler(&settings.traces, exported.is_some());
    let provider = SdkTracerProvider::builder().with_sampler(sampler);
    let provider = match exported {
        Some(exported) => provider.with_span_processor(exported).build(),
        None => provider.build(),
    };
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("gantry"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_filter(filter_fn(is_lasting_span));
    let (wanted, filter) = LogFilter::start(&settings.filter);
    let limiter = Arc::<Limiter>::default();
    let output = Output::start(writer, style.clone(), Arc::clone(&limiter))?;
    let queue = Arc::clone(output.queue());
    let limiting = Arc::clone(&limiter);
    let guard = Guard { provider, filter, style: style.clone(), limiter: limiting, queue };
    let logs = Logs { style, limiter, output };
    let logs = logs.with_filter(wanted.or(filter_fn(is_lasting_span)));
    Ok((Registry::default().with(spans).with(logs), guard))
}

/// Returns true for a span that exists even if the filter hides it.
fn is_lasting_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
