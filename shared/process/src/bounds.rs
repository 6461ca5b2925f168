//! Bounds of the common settings.
//!
//! One table serves the check at start, the tests of both ends and the JSON Schema. A number or a
//! duration in a default file without an entry here or in [`OwnSettings::BOUNDS`] fails a test.
//! Rules between two settings stand with the settings themselves.
//!
//! [`OwnSettings::BOUNDS`]: crate::OwnSettings::BOUNDS

use std::time::Duration;

use gantry_config::Bound;

const MICRO: Duration = Duration::from_micros(1);
const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const YEAR: Duration = Duration::from_hours(365 * 24);

/// Longest HTTP/2 window (RFC 9113, 6.9.1), and the longest message of a call, in bytes.
const MAX_31_BITS: u64 = (1 << 31) - 1;
/// Upper bound for numbers of callers, calls and connections.
const MANY: u64 = 1_000_000;

/// Settings of the process.
pub const PROCESS_BOUNDS: &[Bound] = &[
    Bound::time("discovery.static_refresh", SECOND, DAY),
    Bound::time("discovery.consul.check_ttl", Duration::from_secs(3), HOUR),
    Bound::time("discovery.consul.check_interval", SECOND, HOUR),
    Bound::time("discovery.consul.check_timeout", MILLI, HOUR),
    Bound::time("discovery.consul.deregister_critical_after", MINUTE, YEAR),
    Bound::time("discovery.consul.verify_interval", Duration::from_millis(100), HOUR),
    Bound::time("discovery.consul.wait", SECOND, Duration::from_secs(600)),
    Bound::time("discovery.consul.timeout", MILLI, HOUR),
    Bound::time("discovery.consul.hold_empty", Duration::ZERO, DAY),
    Bound::time("discovery.consul.name_refresh", SECOND, HOUR),
    Bound::time("telemetry.otlp.timeout", MILLI, HOUR),
    Bound::time("telemetry.otlp.tls.reload_interval", Duration::from_millis(10), DAY),
    Bound::number("telemetry.traces.sample_ratio", 0.0, 1.0),
    Bound::count("telemetry.traces.queue", 1, MANY),
    Bound::count("telemetry.traces.batch", 1, MANY),
    Bound::time("telemetry.traces.interval", MILLI, HOUR),
    Bound::time("telemetry.metrics.interval", Duration::from_millis(10), DAY),
];

/// Common settings below the table of a service.
pub const SERVICE_BOUNDS: &[Bound] = &[
    Bound::count("server.weight", 1, 65_535),
    Bound::time("server.drain_timeout", Duration::ZERO, HOUR),
    Bound::count("server.max_message_bytes", 1, 4 * 1024 * 1024),
    Bound::time("server.tls.reload_interval", Duration::from_millis(10), DAY),
    Bound::count("server.connections.max", 1, u32::MAX as u64),
    Bound::count("server.connections.max_per_address", 1, MANY),
    Bound::count("server.connections.max_per_site", 1, MANY),
    Bound::count("server.connections.reserved_percent", 0, 90),
    Bound::time("server.connections.idle_timeout", MILLI, YEAR),
    Bound::count("server.connections.max_streams", 1, MANY),
    Bound::time("server.connections.handshake_timeout", MILLI, HOUR),
    Bound::time("server.connections.keep_alive_interval", Duration::from_millis(10), DAY),
    Bound::time("server.connections.keep_alive_timeout", MILLI, HOUR),
    Bound::time("server.connections.send_timeout", MILLI, DAY),
    Bound::count("server.connections.max_unsent_bytes", 0, u32::MAX as u64),
    Bound::time("server.connections.max_age", MILLI, YEAR),
    Bound::time("server.connections.max_age_grace", Duration::ZERO, YEAR),
    Bound::count("server.infrastructure.max_calls", 1, MANY),
    Bound::count("server.infrastructure.max_per_address", 1, MANY),
    Bound::count("server.infrastructure.max_per_connection", 1, MANY),
    Bound::count("server.connections.max_headers", 20, 10_000),
    Bound::count("server.connections.max_header_bytes", 1024, 1024 * 1024),
    Bound::count("server.connections.stream_window_bytes", 65_535, MAX_31_BITS),
    Bound::count("server.connections.connection_window_bytes", 65_535, MAX_31_BITS),
    Bound::count("server.connections.max_pending_resets", 1, MANY),
    Bound::count("server.connections.max_resets", 1, MANY),
    Bound::count("server.connections.max_local_resets", 1, MANY),
    Bound::count("server.uploads.max", 1, MANY),
    Bound::count("server.uploads.max_per_caller", 1, MANY),
    Bound::count("server.uploads.max_per_address", 1, MANY),
    Bound::count("server.uploads.max_bytes", 4, u32::MAX as u64),
    Bound::time("server.uploads.timeout", SECOND, HOUR),
    Bound::count("server.uploads.min_bytes_per_second", 1, u32::MAX as u64),
    Bound::count("server.concurrency.min", 1, 100_000),
    Bound::count("server.concurrency.initial", 1, 100_000),
    Bound::count("server.concurrency.max", 1, 100_000),
    Bound::number("server.concurrency.tolerance", 1.1, 100.0),
    Bound::time("server.concurrency.fast", MICRO, MINUTE),
    Bound::count("server.limits.max_keys", 1, MANY),
    Bound::number("server.limits.*.per_second", 1e-6, 1e9),
    Bound::count("server.limits.*.burst", 1, MANY),
    Bound::number("server.limits.classes.*.per_second", 1e-6, 1e9),
    Bound::count("server.limits.classes.*.burst", 1, MANY),
    Bound::count("database.sqlite.readers", 1, 64),
    Bound::time("database.sqlite.busy_timeout", Duration::ZERO, HOUR),
    Bound::time("database.sqlite.acquire_timeout", Duration::from_millis(100), HOUR),
    Bound::count("database.postgres.writers", 1, 1000),
    Bound::count("database.postgres.readers", 1, 1000),
    Bound::time("database.postgres.max_lifetime", SECOND, DAY),
    Bound::time("database.postgres.idle_timeout", SECOND, DAY),
    Bound::time("database.postgres.acquire_timeout", Duration::from_millis(100), HOUR),
    Bound::time("database.postgres.statement_timeout", Duration::from_millis(10), HOUR),
    Bound::time("database.postgres.lock_timeout", Duration::from_millis(10), HOUR),
    // One client per called service, by its name.
    Bound::time("clients.*.connect_timeout", MILLI, HOUR),
    Bound::time("clients.*.reconnect_initial", MILLI, HOUR),
    Bound::time("clients.*.reconnect_max", MILLI, DAY),
    Bound::time("clients.*.endpoint_wait", MILLI, HOUR),
    Bound::time("clients.*.keep_alive_interval", Duration::from_millis(10), DAY),
    Bound::time("clients.*.keep_alive_timeout", MILLI, HOUR),
    Bound::count("clients.*.max_connections", 1, 1000),
    Bound::count("clients.*.calls_per_connection", 1, MANY),
    Bound::count("clients.*.max_request_bytes", 1, MAX_31_BITS),
    Bound::count("clients.*.max_response_bytes", 1, MAX_31_BITS),
    Bound::time("clients.*.stream_max_age", MILLI, YEAR),
    Bound::time("clients.*.methods.*.timeout", MILLI, DAY),
    Bound::count("clients.*.methods.*.max_attempts", 1, 5),
    Bound::time("clients.*.methods.*.initial_backoff", MICRO, HOUR),
    Bound::time("clients.*.methods.*.max_backoff", MICRO, HOUR),
    Bound::number("clients.*.methods.*.backoff_multiplier", 1.0, 100.0),
    Bound::count("clients.*.methods.*.hedging.max_attempts", 2, 5),
    Bound::time("clients.*.methods.*.hedging.delay", Duration::ZERO, HOUR),
    Bound::time("clients.*.tls.reload_interval", Duration::from_millis(10), DAY),
    Bound::count("clients.*.breaker.window_calls", 1, 10_000),
    Bound::time("clients.*.breaker.window_time", Duration::from_millis(10), DAY),
    Bound::count("clients.*.breaker.consecutive_failures", 1, u32::MAX as u64),
    Bound::count("clients.*.breaker.minimum_calls", 1, u32::MAX as u64),
    Bound::number("clients.*.breaker.failure_rate", 1e-6, 1.0),
    Bound::number("clients.*.breaker.slow_rate", 1e-6, 1.0),
    Bound::time("clients.*.breaker.slow_after", MICRO, DAY),
    Bound::time("clients.*.breaker.open", MILLI, DAY),
    Bound::time("clients.*.breaker.open_max", MILLI, DAY),
    Bound::count("clients.*.breaker.probes", 1, 10_000),
    Bound::count("clients.*.retry.budget_tokens", 1, 1000),
    Bound::number("clients.*.retry.budget_per_success", 0.001, 1000.0),
    Bound::count("clients.*.retry.max_request_bytes", 0, MAX_31_BITS),
    Bound::count("clients.*.ejection.consecutive_failures", 1, u32::MAX as u64),
    Bound::time("clients.*.ejection.interval", MILLI, DAY),
    Bound::time("clients.*.ejection.base_time", MILLI, DAY),
    Bound::time("clients.*.ejection.max_time", MILLI, DAY),
    Bound::count("clients.*.ejection.max_ejected_percent", 0, 100),
    Bound::number("clients.*.ejection.success_rate.stdev_factor", 1e-6, 1e6),
    Bound::count("clients.*.ejection.success_rate.minimum_hosts", 1, u32::MAX as u64),
    Bound::count("clients.*.ejection.success_rate.request_volume", 1, u32::MAX as u64),
    Bound::count("clients.*.ejection.failure_percentage.threshold", 0, 100),
    Bound::count("clients.*.ejection.failure_percentage.minimum_hosts", 1, u32::MAX as u64),
    Bound::count("clients.*.ejection.failure_percentage.request_volume", 1, u32::MAX as u64),
    // Together these keep an order from staying PLACED longer than an operator would wait.
    Bound::time("saga.attempt_timeout", Duration::from_millis(10), Duration::from_secs(600)),
    Bound::time("saga.step_deadline", Duration::from_millis(10), HOUR),
    Bound::time("saga.retry_initial", MILLI, MINUTE),
    Bound::time("saga.retry_max", MILLI, Duration::from_secs(600)),
    Bound::time("saga.pause_initial", MILLI, HOUR),
    Bound::time("saga.pause_max", MILLI, HOUR),
    Bound::count("saga.max_rounds", 1, 10_000),
    Bound::time("saga.poll", Duration::from_millis(10), MINUTE),
    Bound::count("saga.concurrency", 1, 10_000),
    Bound::number("saga.jitter", 0.0, 1.0),
    Bound::time("saga.keep_ended", HOUR, YEAR),
];
