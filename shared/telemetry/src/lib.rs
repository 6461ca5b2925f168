//! What a process tells of itself: log lines, trace ids, and what it was built from.
//!
//! [`init`] is called once, by main. From then on
//!
//! - each event that passes the filter is a line on stderr, for people or as JSON,
//!   with the `trace_id` and the `request_id` of the span it happens in; so is each panic;
//! - logging never blocks: lines wait in a bounded queue for a thread that writes them. If nobody reads
//!   stderr, lines are dropped and counted (`gantry_log_lines_dropped_total`);
//! - of warnings, and of events with a field `log.kind`, 10 lines of a kind are written in a second. One
//!   line each 10 s says how many were left out;
//! - characters that are not printable are escaped as `\u{9b}`;
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
mod dropped;
mod escape;
mod limit;
mod line;
mod logs;
mod metrics;
mod output;
mod panics;
mod redact;
mod settings;

use std::{
    io::{self, Write},
    sync::Arc,
    time::{Duration, Instant},
};

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
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

pub use build_info::{BUILD, BuildInfo};
pub use metrics::{Metrics, MetricsError};
pub use opentelemetry::metrics::{Counter, Histogram, Meter};
pub use redact::redact;
pub use settings::{Filter, Format, InvalidFilter, Settings};

use self::{
    limit::Limiter,
    line::Style,
    logs::Logs,
    output::{Output, Queue},
};

/// Longest time for which the end of the process waits until the log is written.
const FLUSH: Duration = Duration::from_secs(1);

/// Why telemetry could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The process has a subscriber already.
    #[error("telemetry is set up already: {0}")]
    AlreadySet(#[from] tracing_subscriber::util::TryInitError),
    /// The thread that writes the log cannot be started.
    #[error("the thread that writes the log cannot be started: {0}")]
    Thread(#[from] io::Error),
}

/// Ends telemetry when dropped: main holds it to its end. Waits until the log is written, for 1 s at most.
#[derive(Debug)]
#[must_use = "telemetry ends when this is dropped"]
pub struct Guard {
    provider: SdkTracerProvider,
    style: Style,
    limiter: Arc<Limiter>,
    queue: Arc<Queue>,
}

/// Sets up logs and spans for the process, which calls itself `service`.
///
/// # Errors
/// [`InitError::AlreadySet`] the second time, [`InitError::Thread`] without a thread to spare.
pub fn init(settings: &Settings, service: &str) -> Result<Guard, InitError> {
    let style = Style::of_stderr(settings.format, service);
    let (subscriber, guard) = subscriber(settings, style, stderr())?;
    subscriber.try_init()?;
    panics::log(guard.style.clone(), Arc::clone(&guard.queue));
    opentelemetry::global::set_text_map_propagator(propagator());
    Ok(guard)
}

/// Standard error without std's lock, which a blocked writer would hold against everybody else.
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
) -> io::Result<(impl Subscriber + Send + Sync + use<>, Guard)> {
    let resource = Resource::builder().with_service_name(style.service.clone()).build();
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
    let limiter = Arc::<Limiter>::default();
    let output = Output::start(writer, style.clone(), Arc::clone(&limiter))?;
    let queue = Arc::clone(output.queue());
    let guard = Guard { provider, style: style.clone(), limiter: Arc::clone(&limiter), queue };
    let logs = Logs { style, limiter, output };
    let logs = logs.with_filter(wanted.or(filter_fn(is_lasting_span)));
    Ok((Registry::default().with(spans).with(logs), guard))
}

/// Whether this is a span that exists whatever the filter says.
fn is_lasting_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests;
