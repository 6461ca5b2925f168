//! Settings of what is exported.

use std::time::Duration;

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Destination of traces or metrics, by OpenTelemetry's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exporter {
    /// Nothing is exported.
    #[default]
    None,
    /// The collector of `telemetry.otlp`.
    Otlp,
}

/// Section `telemetry.traces`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct TracesSettings {
    /// Destination. Default: none.
    pub exporter: Exporter,
    /// Collector of traces, if it is another one than that of `telemetry.otlp`. Over HTTP this is the
    /// complete URL: no `/v1/traces` is added.
    #[setters(into)]
    pub endpoint: Option<String>,
    /// Choice of the traces that are exported.
    pub sampler: Sampler,
    /// Share of the traces that the ratio samplers choose, from 0 to 1. Default 0.1.
    pub sample_ratio: f64,
    /// Most spans that wait for their export. Further ones are dropped and counted. Default 2048.
    pub queue: usize,
    /// Most spans of one request. Default 512.
    pub batch: usize,
    /// Longest wait of a span for its batch to fill. Default 5 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub interval: Duration,
}

/// Choice of the traces that are exported, by OpenTelemetry's names. A `parentbased` sampler decides
/// only about traces that begin here: for others, the decision came with the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Sampler {
    /// Every trace, whatever the caller decided.
    #[serde(rename = "always_on")]
    On,
    /// No trace.
    #[serde(rename = "always_off")]
    Off,
    /// A share of the traces, whatever the caller decided.
    #[serde(rename = "traceidratio")]
    Ratio,
    /// Every trace that begins here.
    #[serde(rename = "parentbased_always_on")]
    ParentOn,
    /// No trace that begins here.
    #[serde(rename = "parentbased_always_off")]
    ParentOff,
    /// A share of the traces that begin here.
    #[default]
    #[serde(rename = "parentbased_traceidratio")]
    ParentRatio,
}

impl Default for TracesSettings {
    fn default() -> Self {
        Self {
            exporter: Exporter::None,
            endpoint: None,
            sampler: Sampler::ParentRatio,
            sample_ratio: 0.1,
            queue: 2048,
            batch: 512,
            interval: Duration::from_secs(5),
        }
    }
}

/// Section `telemetry.metrics`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct MetricsSettings {
    /// Destination besides the admin page. Default: none.
    pub exporter: Exporter,
    /// Collector of metrics, if it is another one than that of `telemetry.otlp`. Over HTTP this is
    /// the complete URL: no `/v1/metrics` is added.
    #[setters(into)]
    pub endpoint: Option<String>,
    /// Interval of the exports. Default 60 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub interval: Duration,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { exporter: Exporter::None, endpoint: None, interval: Duration::from_secs(60) }
    }
}
