//! Metrics of the process, exported in Prometheus's text format.
//!
//! Code that records metrics gets a [`Meter`] of OpenTelemetry's API and does not depend on the
//! exporter. There is no global provider: a process creates one [`Metrics`] and passes its meter to
//! each component.

mod push;

use std::{fmt, io};

use opentelemetry::{
    KeyValue,
    metrics::{Meter, MeterProvider},
};
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, PeriodicReader, SdkMeterProvider, Stream,
};
use prometheus::{Registry, TextEncoder};

use self::push::Push;
use crate::{
    BUILD, InvalidSetting, Settings,
    dropped::{self, Reason},
    resource,
    settings::Exporter,
    spans, variables,
};

/// Metrics of the process.
///
/// ```
/// let metrics = gantry_telemetry::Metrics::new("greeter")?;
/// let greeted = metrics.meter().u64_counter("greeter.greeted").build();
/// greeted.add(1, &[]);
/// assert!(metrics.text().contains("greeter_greeted_total 1"));
/// # Ok::<(), gantry_telemetry::MetricsError>(())
/// ```
#[derive(Clone)]
pub struct Metrics {
    provider: SdkMeterProvider,
    registry: Registry,
}

/// Error of setting up metrics.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The exporter cannot be registered.
    #[error("metrics cannot be collected: {0}")]
    Registration(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The settings of the collector are unusable.
    #[error(transparent)]
    Setting(#[from] InvalidSetting),
    /// The thread that exports cannot be started.
    #[error("metrics cannot be exported: {0}")]
    Thread(#[from] io::Error),
}

impl Metrics {
    /// Creates the metrics of `service`, including one with its build information.
    ///
    /// # Errors
    /// [`MetricsError`] if the exporter cannot be registered.
    pub fn new(service: &str) -> Result<Self, MetricsError> {
        Self::exported(service, &Settings::default())
    }

    /// Like [`new`](Self::new). With `metrics.exporter = "otlp"` the metrics also go to the
    /// collector, from a thread of their own.
    ///
    /// # Errors
    /// [`MetricsError`] if an exporter cannot be set up.
    pub fn exported(service: &str, settings: &Settings) -> Result<Self, MetricsError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .scope_info_enabled(false)
            .build()?;
        let mut provider = SdkMeterProvider::builder()
            .with_reader(exporter)
            .with_resource(resource::of(service))
            .with_view(latency);
        if settings.metrics.exporter == Exporter::Otlp && !variables::is_disabled() {
            let push = PeriodicReader::builder(Push::new(settings)?);
            provider = provider.with_reader(push.with_interval(settings.metrics.interval).build());
        }
        let metrics = Self { provider: provider.build(), registry };
        let build = [
            KeyValue::new("version", BUILD.version),
            KeyValue::new("commit", BUILD.commit),
            KeyValue::new("built", BUILD.time),
        ];
        metrics
            .meter()
            .u64_observable_gauge("gantry.build.info")
            .with_description("Version, commit and build time of the process. Always 1.")
            .with_callback(move |gauge| gauge.observe(1, &build))
            .build();
        metrics
            .meter()
            .u64_observable_counter("gantry.log.lines.dropped")
            .with_unit("{line}")
            .with_description("Dropped log lines, by reason.")
            .with_callback(|counter| {
                for reason in Reason::ALL {
                    let label = KeyValue::new("gantry.reason", reason.as_str());
                    counter.observe(dropped::counted(reason), &[label]);
                }
            })
            .build();
        metrics
            .meter()
            .u64_observable_counter("gantry.trace.spans.exported")
            .with_unit("{span}")
            .with_description("Spans that a collector accepted.")
            .with_callback(|counter| counter.observe(spans::exported(), &[]))
            .build();
        metrics
            .meter()
            .u64_observable_counter("gantry.trace.spans.dropped")
            .with_unit("{span}")
            .with_description("Sampled spans that no collector has, by reason.")
            .with_callback(|counter| {
                for reason in spans::Reason::ALL {
                    let label = KeyValue::new("gantry.reason", reason.as_str());
                    counter.observe(spans::dropped(reason), &[label]);
                }
            })
            .build();
        metrics
            .meter()
            .u64_observable_counter("gantry.metrics.exports")
            .with_unit("{export}")
            .with_description("Exports of all metrics to a collector, by outcome.")
            .with_callback(|counter| {
                for (outcome, exports) in push::counts() {
                    counter.observe(exports, &[KeyValue::new("gantry.outcome", outcome)]);
                }
            })
            .build();
        Ok(metrics)
    }

    /// Returns the meter that records into these metrics.
    pub fn meter(&self) -> Meter {
        self.provider.meter("gantry")
    }

    /// Returns all metrics with their current values in Prometheus's text format 0.0.4.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::warn!(%error, "metrics cannot be written as text");
            text.clear();
        }
        text
    }
}

/// Sets the buckets of histograms in seconds to those of gRFC A66, which resolve latencies below a
/// millisecond.
fn latency(instrument: &Instrument) -> Option<Stream> {
    const SECONDS: [f64; 40] = [
        0.00001, 0.00005, 0.0001, 0.0003, 0.0006, 0.0008, 0.001, 0.002, 0.003, 0.004, 0.005, 0.006,
        0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16,
        0.2, 0.25, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0,
    ];
    let wanted = instrument.kind() == InstrumentKind::Histogram && instrument.unit() == "s";
    wanted.then(|| {
        Stream::builder()
            .with_aggregation(Aggregation::ExplicitBucketHistogram {
                boundaries: SECONDS.to_vec(),
                record_min_max: false,
            })
            .build()
            // Fails only for unsorted boundaries; these are sorted.
            .ok()
    })?
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
