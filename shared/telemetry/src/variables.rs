//! OpenTelemetry's environment variables.

use std::env;

/// Variables that stand for a setting: name, key of the setting, and the unit of a bare number.
///
/// A process applies them above its defaults and below its own settings.
pub const VARIABLES: &[(&str, &str, &str)] = &[
    ("OTEL_TRACES_EXPORTER", "telemetry.traces.exporter", ""),
    ("OTEL_METRICS_EXPORTER", "telemetry.metrics.exporter", ""),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp.endpoint", ""),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "telemetry.traces.endpoint", ""),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "telemetry.metrics.endpoint", ""),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "telemetry.otlp.protocol", ""),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "telemetry.otlp.timeout", "ms"),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", "telemetry.otlp.tls.ca_file", ""),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "telemetry.otlp.tls.cert_file", ""),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "telemetry.otlp.tls.key_file", ""),
    ("OTEL_TRACES_SAMPLER", "telemetry.traces.sampler", ""),
    ("OTEL_TRACES_SAMPLER_ARG", "telemetry.traces.sample_ratio", ""),
    ("OTEL_BSP_MAX_QUEUE_SIZE", "telemetry.traces.queue", ""),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "telemetry.traces.batch", ""),
    ("OTEL_BSP_SCHEDULE_DELAY", "telemetry.traces.interval", "ms"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "telemetry.metrics.interval", "ms"),
];

/// Returns true if `OTEL_SDK_DISABLED` turns every export off. It overrides the settings: it is
/// meant to stop exports in a hurry.
pub(crate) fn is_disabled() -> bool {
    env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// Returns `OTEL_EXPORTER_OTLP_HEADERS`, which may contain secrets.
pub(crate) fn headers() -> Option<String> {
    env::var("OTEL_EXPORTER_OTLP_HEADERS").ok().filter(|value| !value.is_empty())
}

/// Returns `OTEL_SERVICE_NAME`.
pub(crate) fn service_name() -> Option<String> {
    env::var("OTEL_SERVICE_NAME").ok().filter(|value| !value.is_empty())
}
