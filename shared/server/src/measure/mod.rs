//! What is counted and measured of a server. docs/METRICS.md lists all of it.
//!
//! A call costs two updates of instruments that were resolved before: nothing is looked up
//! by its labels, and nothing allocated. Only refusals and panics look theirs up.

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

/// The instruments of a server: names and attributes are gRPC's where gRPC has them (A66).
/// Calls under way are those that began without those that ended.
pub(crate) struct Measures {
    meter: Meter,
    /// By the method's number.
    methods: Box<[MethodMeasures]>,
    /// Stands for everything that is no method of this server (A66), so that callers cannot
    /// make time series at will.
    other: MethodMeasures,
    duration: Histogram<f64>,
    refusals: Counter<u64>,
    panics: Counter<u64>,
    /// The limits that a refusal may name.
    limits: Vec<&'static str>,
}

/// The limits that a refusal may name, besides rate classes.
const LIMITS: [&str; 7] =
    ["address", "credentials", "caller", "uploads", "upload_bytes", "connection", "infrastructure"];

/// How a method appears.
struct MethodMeasures {
    method: KeyValue,
    started: BoundCounter<u64>,
    /// By status; each is there from the first call that ended with it.
    durations: [OnceLock<BoundHistogram<f64>>; NOT_GRPC + 1],
}

/// The number of what was no gRPC call, after those of gRPC's statuses.
const NOT_GRPC: usize = 17;

impl Measures {
    pub(crate) fn new(meter: Meter, methods: &Methods, contract: &Contract) -> Self {
        let started = meter
            .u64_counter("grpc.server.call.started")
            .with_unit("{call}")
            .with_description("Calls that began.")
            .build();
        let duration = meter
            .f64_histogram("grpc.server.call.duration")
            .with_unit("s")
            .with_description("How long calls took, from their arrival to their status.")
            .build();
        let refusals = meter
            .u64_counter("gantry.server.refusals")
            .with_unit("{call}")
            .with_description("Calls that were refused before they were answered, by reason.")
            .build();
        let panics = meter
            .u64_counter("gantry.server.panics")
            .with_unit("{call}")
            .with_description("Calls that panicked.")
            .build();
        let measured = |name: &'static str| {
            let method = KeyValue::new("grpc.method", name);
            let this = MethodMeasures {
                started: started.bind(std::slice::from_ref(&method)),
                durations: [const { OnceLock::new() }; NOT_GRPC + 1],
                method,
            };
            this.duration(&duration, Some(Code::Ok));
            // An alert does not see the first of what was not there before.
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

    /// A call has ended with this status; without one, it was no gRPC call.
    pub(crate) fn ended(&self, route: &Route, code: Option<Code>, took: Duration) {
        self.of(route).duration(&self.duration, code).record(took.as_secs_f64());
    }

    /// A call was answered with a status and nothing else: counted where it was refused for
    /// a reason of ours.
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
            // Numbered by the same `Methods`.
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
