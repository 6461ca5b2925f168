//! The contract as a gRPC service config, for clients in other languages:
//! <https://github.com/grpc/grpc/blob/master/doc/service_config.md>, with the policies of gRFC A6.
//!
//! Some rules cannot be expressed in a service config. Gantry's client retries RESOURCE_EXHAUSTED
//! if the server states a delay; other clients do not retry it. A method with a response stream has
//! no timeout, because other clients would apply it to the whole stream.

use std::{fmt::Write as _, time::Duration};

use crate::{
    methods::{Policy, Service},
    repeats::Repeats,
};

/// Retry budget. Equal to that of `gantry_resilience` and to the example in gRFC A6.
const THROTTLING: &str = r#"{"maxTokens": 100, "tokenRatio": 0.1}"#;

/// Returns the whole document. Names are protobuf identifiers, so nothing needs escaping.
pub(crate) fn json(services: &[Service]) -> String {
    let methods = services.iter().flat_map(|service| &service.methods).map(method);
    let methods: Vec<_> = methods.collect();
    format!(
        "{{\n  \"methodConfig\": [\n{}\n  ],\n  \"retryThrottling\": {THROTTLING}\n}}\n",
        methods.join(",\n")
    )
}

fn method(policy: &Policy) -> String {
    let method = &policy.descriptor;
    let mut json = format!(
        "    {{\n      \"name\": [{{\"service\": \"{}\", \"method\": \"{}\"}}]",
        method.parent_service().full_name(),
        method.name()
    );
    // Writing to a String cannot fail.
    if !method.is_server_streaming() {
        let _ = write!(json, ",\n      \"timeout\": \"{}\"", seconds(policy.timeout));
    }
    match &policy.repeats {
        Repeats::Never => {}
        Repeats::Retry { attempts, initial_backoff, max_backoff, multiplier } => {
            let (initial, max) = (seconds(*initial_backoff), seconds(*max_backoff));
            let _ = write!(
                json,
                ",\n      \"retryPolicy\": {{\"maxAttempts\": {attempts}, \"initialBackoff\": \"{initial}\", \
                 \"maxBackoff\": \"{max}\", \"backoffMultiplier\": {multiplier}, \
                 \"retryableStatusCodes\": [\"UNAVAILABLE\"]}}"
            );
        }
        Repeats::Hedging { attempts, delay } => {
            let delay = seconds(*delay);
            let _ = write!(
                json,
                ",\n      \"hedgingPolicy\": {{\"maxAttempts\": {attempts}, \"hedgingDelay\": \"{delay}\", \
                 \"nonFatalStatusCodes\": [\"UNAVAILABLE\"]}}"
            );
        }
    }
    json + "\n    }"
}

/// Formats a google.protobuf.Duration in JSON: `1.5s`.
fn seconds(duration: Duration) -> String {
    let nanos = format!("{:09}", duration.subsec_nanos());
    let nanos = nanos.trim_end_matches('0');
    let point = if nanos.is_empty() { "" } else { "." };
    format!("{}{point}{nanos}s", duration.as_secs())
}
