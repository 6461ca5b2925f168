//! Measurements of a channel as OpenTelemetry instruments.
//!
//! Names and attributes are gRPC's if it defines them: A66 (calls and attempts), A96 (retries), A91
//! (ejections) and A94 (connections). `grpc.target` is the called service, `gantry.service` the
//! calling one. Endpoints are no attribute, because their number is unbounded over time.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::OnceLock,
};

use gantry_contract::{Contract, Repeats, code_name};
use gantry_resilience::{circuit_breaker::Transition, ejection::Ejected};
use gantry_tls::Followed;
use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Counter, Histogram, Meter},
};
use tokio::time::Instant;
use tonic::Code;

use crate::{
    metrics::{AttemptEnded, CallEnded, Metrics},
    snapshot::{EndpointSnapshot, Snapshot},
};

/// Name for all methods outside the contract (A66).
const OTHER: &str = "other";

/// Instruments of a method. Those of calls and attempts are bound once for each status, at the
/// first call with it, so that no call looks them up by labels.
struct Measured {
    name: KeyValue,
    calls: ByStatus,
    attempts: ByStatus,
    /// True if its further attempts are hedges, false if they are retries.
    hedged: bool,
}

type ByStatus = [OnceLock<BoundHistogram<f64>>; NOT_SENT + 1];

/// Index for unsent attempts, after those of gRPC's statuses.
const NOT_SENT: usize = 17;

/// Counts and measures the calls of one channel.
pub(crate) struct Measures {
    who: Vec<KeyValue>,
    methods: HashMap<&'static str, Measured>,
    other: Measured,
    calls: Histogram<f64>,
    attempts: Histogram<f64>,
    retries: Histogram<u64>,
    hedges: Histogram<u64>,
    transitions: Counter<u64>,
    ejections: Counter<u64>,
}

impl Measures {
    pub(crate) fn new(meter: &Meter, who: Vec<KeyValue>, contract: &'static Contract) -> Self {
        let unbound = || [const { OnceLock::new() }; NOT_SENT + 1];
        let method = |name, hedged| Measured {
            name: KeyValue::new("grpc.method", name),
            calls: unbound(),
            attempts: unbound(),
            hedged,
        };
        let further = |name, description| {
            let histogram = meter.u64_histogram(name).with_description(description);
            histogram.with_boundaries(vec![1.0, 2.0, 3.0, 4.0, 5.0]).build()
        };
        Self {
            who,
            methods: contract
                .methods()
                .map(|policy| {
                    let hedged = matches!(policy.repeats, Repeats::Hedging(_));
                    (policy.path, method(policy.path.trim_start_matches('/'), hedged))
                })
                .collect(),
            other: method(OTHER, false),
            calls: meter
                .f64_histogram("grpc.client.call.duration")
                .with_unit("s")
                .with_description("How long calls took, with all of their attempts.")
                .build(),
            attempts: meter
                .f64_histogram("grpc.client.attempt.duration")
                .with_unit("s")
                .with_description("How long single attempts took.")
                .build(),
            retries: further("grpc.client.call.retries", "Retries of calls that had any."),
            hedges: further("grpc.client.call.hedges", "Hedges of calls that had any."),
            transitions: meter
                .u64_counter("gantry.client.circuit_breaker.transitions")
                .with_description("How often the circuit breaker came to a state.")
                .build(),
            ejections: meter
                .u64_counter("grpc.lb.outlier_detection.ejections_enforced")
                .with_unit("{ejection}")
                .with_description("How often an endpoint was ejected.")
                .build(),
        }
    }

    fn method(&self, path: &str) -> &Measured {
        self.methods.get(path).unwrap_or(&self.other)
    }

    fn bound<'a>(
        &self,
        histogram: &Histogram<f64>,
        method: &Measured,
        by_status: &'a ByStatus,
        code: Option<Code>,
    ) -> &'a BoundHistogram<f64> {
        by_status[code.map_or(NOT_SENT, |code| code as usize)].get_or_init(|| {
            let status = KeyValue::new("grpc.status", code.map_or("NOT_SENT", code_name));
            histogram.bind(&with(&self.who, [method.name.clone(), status]))
        })
    }
}

impl Metrics for Measures {
    fn call(&self, ended: &CallEnded<'_>) {
        let method = self.method(ended.method);
        if let Some(further @ 1..) = ended.attempts.checked_sub(1) {
            let histogram = if method.hedged { &self.hedges } else { &self.retries };
            histogram.record(further.into(), &with(&self.who, [method.name.clone()]));
        }
        self.bound(&self.calls, method, &method.calls, Some(ended.code))
            .record(ended.took.as_secs_f64());
    }

    fn attempt(&self, ended: &AttemptEnded<'_>) {
        // An attempt that was certainly not executed has no status.
        let method = self.method(ended.method);
        self.bound(&self.attempts, method, &method.attempts, ended.code)
            .record(ended.took.as_secs_f64());
    }

    fn breaker(&self, _: &str, transition: &Transition) {
        let state = KeyValue::new("gantry.state", transition.to.as_str());
        self.transitions.add(1, &with(&self.who, [state]));
    }

    fn ejected(&self, _: &str, ejected: &Ejected<SocketAddr>) {
        let method =
            KeyValue::new("grpc.lb.outlier_detection.detection_method", ejected.reason.as_str());
        self.ejections.add(1, &with(&self.who, [method]));
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").field("who", &self.who).finish_non_exhaustive()
    }
}

/// Returns the attributes of a channel: the called service, and the calling one if it was named.
pub(crate) fn who(service: &str, caller: Option<&str>) -> Vec<KeyValue> {
    let target = KeyValue::new("grpc.target", service.to_owned());
    let caller = caller.map(|caller| KeyValue::new("gantry.service", caller.to_owned()));
    [target].into_iter().chain(caller).collect()
}

fn with<const N: usize>(who: &[KeyValue], more: [KeyValue; N]) -> Vec<KeyValue> {
    who.iter().cloned().chain(more).collect()
}

/// Observes the state of a channel at each collection, as long as `snapshot` returns one.
pub(crate) fn observe<S>(meter: &Meter, channel: &[KeyValue], snapshot: S)
where
    S: Fn() -> Option<Snapshot> + Clone + Send + Sync + 'static,
{
    let (who, now) = (channel.to_vec(), snapshot.clone());
    meter
        .i64_observable_up_down_counter("grpc.subchannel.open_connections")
        .with_unit("{connection}")
        .with_description("Connections that are open.")
        .with_callback(move |sum| {
            let Some(now) = now() else { return };
            let open: usize = now.endpoints.iter().map(|endpoint| endpoint.connections).sum();
            sum.observe(i64::try_from(open).unwrap_or(i64::MAX), &who);
        })
        .build();
    let (who, now) = (channel.to_vec(), snapshot.clone());
    meter
        .u64_observable_gauge("gantry.client.endpoints")
        .with_description("Endpoints by what they are good for.")
        .with_callback(move |gauge| {
            let Some(now) = now() else { return };
            for (state, count) in by_state(&now.endpoints) {
                let state = KeyValue::new("gantry.state", state);
                gauge.observe(count, &with(&who, [state]));
            }
        })
        .build();
    let (who, now) = (channel.to_vec(), snapshot.clone());
    meter
        .u64_observable_gauge("gantry.client.circuit_breaker.state")
        .with_description("1 for the state that the circuit breaker is in.")
        .with_callback(move |gauge| {
            let Some(now) = now() else { return };
            for state in ["closed", "open", "half_open"] {
                let is = u64::from(now.breaker.state.as_str() == state);
                let state = KeyValue::new("gantry.state", state);
                gauge.observe(is, &with(&who, [state]));
            }
        })
        .build();
    let (who, now) = (channel.to_vec(), snapshot.clone());
    meter
        .u64_observable_gauge("gantry.client.registry.state")
        .with_description(
            "1 for what the registry is: it answers (live), did (stale), never did (pending).",
        )
        .with_callback(move |gauge| {
            let Some(now) = now() else { return };
            for state in ["pending", "live", "stale"] {
                let is = u64::from(now.registry.as_str() == state);
                let state = KeyValue::new("gantry.state", state);
                gauge.observe(is, &with(&who, [state]));
            }
        })
        .build();
    let (who, now) = (channel.to_vec(), snapshot.clone());
    meter
        .f64_observable_gauge("gantry.client.registry.age")
        .with_unit("s")
        .with_description("How long ago the registry last confirmed the endpoints.")
        .with_callback(move |gauge| {
            let Some(now) = now() else { return };
            // No value before its first answer.
            if let Some(age) = now.registry.age(Instant::now()) {
                gauge.observe(age.as_secs_f64(), &who);
            }
        })
        .build();
    let who = channel.to_vec();
    meter
        .f64_observable_gauge("gantry.client.retry.tokens")
        .with_description("What is left to pay retries with.")
        .with_callback(move |gauge| {
            let Some(now) = snapshot() else { return };
            gauge.observe(now.retry_tokens, &who);
        })
        .build();
}

/// Observes the channel's certificate files.
pub(crate) fn observe_tls<F>(meter: &Meter, who: &[KeyValue], followed: F)
where
    F: Fn() -> Option<Followed> + Clone + Send + Sync + 'static,
{
    let side = KeyValue::new("gantry.side", "client");
    gantry_tls::observe(meter, &with(who, [side]), followed);
}

/// Counts the endpoints of every state, empty states included: a series that ends would look
/// unchanged.
fn by_state(endpoints: &[EndpointSnapshot]) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::from([("connected", 0), ("ejected", 0), ("unconnected", 0)]);
    for endpoint in endpoints {
        let state = match endpoint {
            EndpointSnapshot { ejected_for: Some(_), .. } => "ejected",
            EndpointSnapshot { connections: 0, .. } => "unconnected",
            EndpointSnapshot { .. } => "connected",
        };
        *counts.entry(state).or_default() += 1;
    }
    counts
}
