//! Metrics of a server as a whole: its connections, its limit and its state.

use std::{fmt, net::SocketAddr, sync::Arc};

use gantry_identity::{KeysReport, Verifier};
use gantry_resilience::limits::Limiter;
use opentelemetry::{
    KeyValue, Value,
    metrics::{BoundCounter, BoundUpDownCounter, Counter, Meter},
};
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::{
    connection::{Closed, Refused},
    lifecycle::State,
    tls::Security,
};

/// Instruments of one server on one address.
pub(crate) struct ServerMeasures {
    who: [KeyValue; 3],
    accepted: BoundCounter<u64>,
    open: BoundUpDownCounter<i64>,
    refused: Counter<u64>,
    closed: Counter<u64>,
}

impl ServerMeasures {
    pub(crate) fn new(meter: &Meter, service: &str, address: SocketAddr) -> Self {
        let who = [
            KeyValue::new("gantry.service", service.to_owned()),
            KeyValue::new("server.address", address.ip().to_string()),
            KeyValue::new("server.port", i64::from(address.port())),
        ];
        let connections = |name, description| {
            let counter = meter.u64_counter(name).with_unit("{connection}");
            counter.with_description(description).build()
        };
        let this = Self {
            accepted: connections("gantry.server.connections.accepted", "Accepted connections.")
                .bind(&who),
            open: meter
                .i64_up_down_counter("gantry.server.connections.open")
                .with_unit("{connection}")
                .with_description("Open connections.")
                .build()
                .bind(&who),
            refused: connections(
                "gantry.server.connections.refused",
                "Connections closed unserved, by reason.",
            ),
            closed: connections(
                "gantry.server.connections.closed",
                "Ended connections, by reason.",
            ),
            who,
        };
        for reason in Refused::ALL {
            this.refused.add(0, &this.with("gantry.reason", reason.as_str()));
        }
        for reason in Closed::ALL {
            this.closed.add(0, &this.with("gantry.reason", reason.as_str()));
        }
        this
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused.add(1, &self.with("gantry.reason", reason.as_str()));
    }

    /// Counts a new connection. It counts as open until the returned value is dropped or gets the
    /// reason for its end.
    pub(crate) fn accepted(self: &Arc<Self>) -> Open {
        self.accepted.add(1);
        self.open.add(1);
        Open { measures: Arc::clone(self), ended: Closed::Cut }
    }

    /// Reports the server's state at each collection, as long as `observed` exists.
    pub(crate) fn observe(&self, meter: &Meter, observed: &Arc<Observed>) {
        let gauge = |name, description, read: fn(&Observed) -> u64| {
            let (who, observed) = (self.who.clone(), Arc::downgrade(observed));
            meter
                .u64_observable_gauge(name)
                .with_unit("{call}")
                .with_description(description)
                .with_callback(move |gauge| {
                    if let Some(observed) = observed.upgrade() {
                        gauge.observe(read(&observed), &who);
                    }
                })
                .build();
        };
        gauge(
            "gantry.server.concurrency.limit",
            "Current value of the adaptive concurrency limit.",
            |observed| observed.limiter.snapshot().limit.into(),
        );
        gauge(
            "gantry.server.concurrency.in_flight",
            "Calls that count towards the adaptive concurrency limit.",
            |observed| observed.limiter.snapshot().in_flight.into(),
        );
        if observed.security.is_tls() {
            let observed = Arc::downgrade(observed);
            gantry_tls::observe(meter, &self.with("gantry.side", "server"), move || {
                observed.upgrade()?.security.followed()
            });
        }
        self.observe_keys(meter, observed);
        let (who, observed) = (self.who.clone(), Arc::downgrade(observed));
        meter
            .u64_observable_gauge("gantry.server.state")
            .with_description("1 for the current state of the server, 0 for the others.")
            .with_callback(move |gauge| {
                let Some(observed) = observed.upgrade() else { return };
                let now = *observed.state.borrow();
                for state in [State::Starting, State::Serving, State::Draining] {
                    let attributes = with(&who, "gantry.state", state.as_str());
                    gauge.observe(u64::from(state == now), &attributes);
                }
            })
            .build();
    }

    fn observe_keys(&self, meter: &Meter, observed: &Arc<Observed>) {
        let (who, now) = (self.who.clone(), Arc::downgrade(observed));
        meter
            .u64_observable_gauge("gantry.identity.published_keys")
            .with_unit("{key}")
            .with_description("Known published keys, by issuer.")
            .with_callback(move |gauge| {
                let keys = now.upgrade().map(|now| now.published_keys());
                for keys in keys.into_iter().flatten() {
                    gauge.observe(keys.keys as u64, &with(&who, "gantry.issuer", keys.issuer));
                }
            })
            .build();
        let (who, now) = (self.who.clone(), Arc::downgrade(observed));
        meter
            .f64_observable_gauge("gantry.identity.published_keys.age")
            .with_unit("s")
            .with_description("Time since published keys were last fetched.")
            .with_callback(move |gauge| {
                let keys = now.upgrade().map(|now| now.published_keys());
                for keys in keys.into_iter().flatten() {
                    // No value before the first fetch.
                    if let Some(fetched_at) = keys.fetched_at {
                        let age = (OffsetDateTime::now_utc() - fetched_at).as_seconds_f64();
                        gauge.observe(age, &with(&who, "gantry.issuer", keys.issuer));
                    }
                }
            })
            .build();
    }

    fn with(&self, key: &'static str, value: &'static str) -> [KeyValue; 4] {
        with(&self.who, key, value)
    }
}

fn with(who: &[KeyValue; 3], key: &'static str, value: impl Into<Value>) -> [KeyValue; 4] {
    let [service, address, port] = who.clone();
    [service, address, port, KeyValue::new(key, value)]
}

impl fmt::Debug for ServerMeasures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerMeasures").field("who", &self.who).finish_non_exhaustive()
    }
}

/// Open connection.
#[derive(Debug)]
pub(crate) struct Open {
    measures: Arc<ServerMeasures>,
    ended: Closed,
}

impl Open {
    pub(crate) fn ended(mut self, how: Closed) {
        self.ended = how;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Self { measures, ended } = self;
        measures.open.add(-1);
        measures.closed.add(1, &measures.with("gantry.reason", ended.as_str()));
    }
}

/// Parts of a server whose state is reported.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) limiter: Limiter,
    pub(crate) state: watch::Receiver<State>,
    pub(crate) security: Security,
    pub(crate) verifier: Option<Arc<Verifier>>,
}

impl Observed {
    fn published_keys(&self) -> Vec<KeysReport> {
        self.verifier.as_ref().map(|verifier| verifier.published_keys()).unwrap_or_default()
    }
}
