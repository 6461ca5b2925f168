//! The `telemetry` section of a service's configuration.

mod log;
pub(crate) mod otlp;
mod signals;

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use log::{Filter, Format, InvalidFilter};
pub use otlp::{OtlpSettings, Protocol};
pub use signals::{Exporter, MetricsSettings, Sampler, TracesSettings};

use crate::otlp::Collector;

/// Settings of logs, traces and metrics.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Format of the log lines.
    pub format: Format,
    /// Filter of the log lines.
    pub filter: Filter,
    /// Collector that receives traces and metrics.
    pub otlp: OtlpSettings,
    /// Traces.
    pub traces: TracesSettings,
    /// Metrics, besides the admin page.
    pub metrics: MetricsSettings,
}

/// An unusable setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("telemetry.{key}: {why}")]
pub struct InvalidSetting {
    /// Key of the setting, within the section.
    pub key: String,
    /// Reason why the value cannot be used.
    pub why: String,
}

impl InvalidSetting {
    pub(crate) fn new(key: &str, why: impl Into<String>) -> Self {
        Self { key: key.to_owned(), why: why.into() }
    }
}

impl Settings {
    /// Returns all problems of the values. The named files are not read.
    pub fn problems(&self) -> Vec<InvalidSetting> {
        let parsed = self.endpoints().map(|(key, given)| otlp::url(key, given));
        let mut problems: Vec<_> = parsed.filter_map(Result::err).collect();
        if self.traces.batch > self.traces.queue {
            problems.push(InvalidSetting::new(
                "traces.batch",
                format!("expected at most traces.queue, which is {}", self.traces.queue),
            ));
        }
        problems
    }

    /// Returns the keys of collectors whose traffic is readable on the network: no TLS, and another
    /// machine. Invalid URLs are problems of their own.
    pub fn open_to_others(&self) -> impl Iterator<Item = &'static str> {
        let is_open =
            |(key, given)| otlp::url(key, given).is_ok_and(|url| otlp::is_open_to_others(&url));
        self.endpoints().filter(move |endpoint| is_open(*endpoint)).map(|(key, _)| key)
    }

    /// Returns the keys of the URLs that are set, and the URLs.
    fn endpoints(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("otlp.endpoint", &self.otlp.endpoint),
            ("traces.endpoint", &self.traces.endpoint),
            ("metrics.endpoint", &self.metrics.endpoint),
        ];
        all.into_iter().filter_map(|(key, given)| Some((key, given.as_deref()?)))
    }

    /// Returns the problem of the files that the settings name, if any. Files that nothing uses are
    /// not read.
    pub fn file_problem(&self) -> Option<InvalidSetting> {
        if self.traces.exporter == Exporter::None && self.metrics.exporter == Exporter::None {
            return None;
        }
        Collector::new(self).err()
    }
}
