//! What is counted and measured of calls.

use std::time::Duration;

use opentelemetry::{
    KeyValue, StringValue,
    metrics::{Counter, Histogram, Meter},
};

use crate::call::Target;

/// The instruments of a server. Names and attributes are those of OpenTelemetry's
/// conventions for RPC; calls that begin are counted as gRFC A66 has it, so that those
/// under way are the difference of the two.
#[derive(Debug)]
pub(crate) struct Measures {
    started: Counter<u64>,
    duration: Histogram<f64>,
}

/// Stands for everything that is no method of this server, so that callers cannot make
/// time series at will.
const OTHER: &str = "_OTHER";

impl Measures {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            started: meter
                .u64_counter("grpc.server.call.started")
                .with_unit("{call}")
                .with_description("Calls that began.")
                .build(),
            duration: meter
                .f64_histogram("rpc.server.call.duration")
                .with_unit("s")
                .with_description("How long calls took, from their arrival to their status.")
                .build(),
        }
    }

    pub(crate) fn started(&self, target: &Target) {
        self.started.add(1, &[KeyValue::new("grpc.method", method(target))]);
    }

    /// `code` is one of few: a status of gRPC, or of HTTP where it was no gRPC call.
    pub(crate) fn ended(&self, target: &Target, code: StringValue, failed: bool, took: Duration) {
        let attributes = [
            KeyValue::new("rpc.system.name", "grpc"),
            KeyValue::new("rpc.method", method(target)),
            KeyValue::new("rpc.response.status_code", code.clone()),
            KeyValue::new("error.type", code),
        ];
        let known = if failed { &attributes[..] } else { &attributes[..3] };
        self.duration.record(took.as_secs_f64(), known);
    }
}

fn method(target: &Target) -> &'static str {
    match target {
        Target::Known(method) => method.name(),
        Target::Unknown(_) => OTHER,
    }
}
