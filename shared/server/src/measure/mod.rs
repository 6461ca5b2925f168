//! Metrics of a server, listed in docs/METRICS.md.
//!
//! A call costs two updates of instruments resolved beforehand, without a lookup by labels or an
//! allocation. Only refusals and panics look up their instruments.

mod server;

use std::{fmt, sync::OnceLock, time::Duration};

use gantry_contract::{Contract, Failure, GantryReason, Reason, code_name};
use opentelemetry::{
    KeyValue,
    metrics::{BoundCounter, BoundHistogram, Counter, Histogram, Meter},
};
use tonic::{Code, Status};

pub(crate) use self::server::{Observed, ServerMeasures};
use crate::{call::Route, methods::Methods};

/// Instruments of a server. Names and attributes follow gRFC A66 where it has them. The number of
/// calls in flight is the difference of started and ended calls.
pub(crate) struct Measures {
    meter: Meter,
    /// Instruments of each method, by its index.
    methods: Box<[MethodMeasures]>,
    /// Instruments of all unknown methods together (A66), so that callers cannot create time
    /// series.
    other: MethodMeasures,
    duration: Histogram<f64>,
    refusals: Counter<u64>,
    panics: Counter<u64>,
    /// Limits that a refusal may name.
    limits: Vec<&'static str>,
}

/// Limits that a refusal may name, besides rate classes.
const LIMITS: [&str; 7] =
    ["address", "credentials", "caller", "uploads", "upload_bytes", "connection", "infrastructure"];

/// Instruments of a method.
struct MethodMeasures {
    method: KeyValue,
    started: BoundCounter<u64>,
    /// Durations by status; each is created by the first call with that status.
    durations: [OnceLock<BoundHistogram<f64>>; NOT_GRPC + 1],
}

/// Index of requests that are not gRPC, after gRPC's statuses.
const NOT_GRPC: usize = 17;

impl Measures {
    pub(crate) fn new(meter: Meter, methods: &Methods, contract: &Contract) -> Self {
        let started = meter
            .u64_counter("grpc.server.call.started")
            .with_unit("{call}")
            .with_description("Calls that started.")
            .build();
        let duration = meter
            .f64_histogram("grpc.server.call.duration")
            .with_unit("s")
            .with_description("Duration of calls, from arrival to status.")
            .build();
        let refusals = meter
            .u64_counter("gantry.server.refusals")
            .with_unit("{call}")
            .with_description("Refused calls, by reason.")
            .build();
        let panics = meter
            .u64_counter("gantry.server.panics")
            .with_unit("{call}")
            .with_description("Calls whose handler or layer panicked.")
            .build();
        let measured = |name: &'static str| {
            let method = KeyValue::new("grpc.method", name);
            let this = MethodMeasures {
                started: started.bind(std::slice::from_ref(&method)),
                durations: [const { OnceLock::new() }; NOT_GRPC + 1],
                method,
            };
            this.duration(&duration, Some(Code::Ok));
            // Starts at 0: `increase` does not see the first event of a new series.
            panics.add(0, std::slice::from_ref(&this.method));
            this
        };
        let other = measured("other");
        let classes = contract.rate_classes.iter().map(|class| class.name);
        Self {
            methods: methods.by_number().map(|method| measured(method.name())).collect(),
            other,
            limits: LIMITS.into_iter().chain(classes).collect(),
            meter,
            duration,
            refusals,
            panics,
        }
    }

    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    pub(crate) fn started(&self, route: &Route) {
        self.of(route).started.add(1);
    }

    /// Records the end of a call; `code` is None if it was not gRPC.
    pub(crate) fn ended(&self, route: &Route, code: Option<Code>, took: Duration) {
        self.of(route).duration(&self.duration, code).record(took.as_secs_f64());
    }

    /// Counts a response without a message as a refusal if its reason is in the domain `gantry`.
    pub(crate) fn refused(&self, route: &Route, status: &Status) {
        let Some(failure) = Failure::of(status) else { return };
        if failure.domain() != GantryReason::Internal.domain() {
            return;
        }
        let method = self.of(route).method.clone();
        let reason = KeyValue::new("gantry.reason", failure.reason());
        let named = failure.metadata_of("limit");
        let limit = self.limits.iter().find(|limit| Some(**limit) == named);
        match limit {
            Some(limit) => {
                self.refusals.add(1, &[method, reason, KeyValue::new("gantry.limit", *limit)]);
            }
            None => self.refusals.add(1, &[method, reason]),
        }
    }

    pub(crate) fn panicked(&self, route: &Route) {
        self.panics.add(1, std::slice::from_ref(&self.of(route).method));
    }

    fn of(&self, route: &Route) -> &MethodMeasures {
        match route {
            // Both use the indices of the same `Methods`.
            Route::Known(method) => self.methods.get(method.index).unwrap_or(&self.other),
            Route::Unknown(_) => &self.other,
        }
    }
}

impl MethodMeasures {
    fn duration(&self, histogram: &Histogram<f64>, code: Option<Code>) -> &BoundHistogram<f64> {
        let number = code.map_or(NOT_GRPC, |code| code as usize);
        self.durations[number].get_or_init(|| {
            let status = KeyValue::new("grpc.status", code.map_or("NOT_GRPC", code_name));
            histogram.bind(&[self.method.clone(), status])
        })
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").finish_non_exhaustive()
    }
}
