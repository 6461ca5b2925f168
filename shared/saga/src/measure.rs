//! Metrics of an engine, listed in docs/METRICS.md.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Meter},
};

use crate::{Count, Status};

/// Statuses of the sagas that the log counts.
const OPEN: [Status; 2] = [Status::Running, Status::Stuck];
/// Statuses in which the engine stops driving a saga.
const LEFT: [Status; 3] = [Status::Completed, Status::Undone, Status::Stuck];

/// Instruments of one engine.
pub(crate) struct Measures {
    service: KeyValue,
    outcomes: Counter<u64>,
    /// Numbers of the last count, by name and status.
    open: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl Measures {
    /// Creates the instruments of an engine with these definitions.
    pub(crate) fn new(meter: &Meter, service: &str, names: &[&'static str]) -> Arc<Self> {
        let outcomes = meter
            .u64_counter("gantry.sagas.outcomes")
            .with_unit("{saga}")
            .with_description("Sagas that ended or became stuck, by status.")
            .build();
        let open = names.iter().flat_map(|name| {
            OPEN.into_iter().map(move |status| (((*name).to_owned(), status.as_str()), 0))
        });
        let this = Arc::new(Self {
            service: KeyValue::new("gantry.service", service.to_owned()),
            outcomes,
            open: Mutex::new(open.collect()),
        });
        for (name, status) in names.iter().flat_map(|name| LEFT.map(|status| (*name, status))) {
            this.outcomes.add(0, &this.labels(name, status.as_str()));
        }
        this.observe(meter);
        this
    }

    /// Reports the last count at each collection, as long as the engine exists.
    fn observe(self: &Arc<Self>, meter: &Meter) {
        let now = Arc::downgrade(self);
        meter
            .u64_observable_gauge("gantry.sagas.open")
            .with_unit("{saga}")
            .with_description("Running and stuck sagas in the log.")
            .with_callback(move |gauge| {
                let Some(now) = now.upgrade() else { return };
                let open = now.open.lock().unwrap_or_else(PoisonError::into_inner);
                for ((name, status), number) in &*open {
                    gauge.observe(*number, &now.labels(name, status));
                }
            })
            .build();
    }

    /// Notes a saga that the engine, or an operator, brought to this status.
    pub(crate) fn left(&self, name: &str, status: Status) {
        if LEFT.contains(&status) {
            self.outcomes.add(1, &self.labels(name, status.as_str()));
        }
    }

    /// Notes the numbers of open sagas in the log.
    pub(crate) fn counted(&self, counts: Vec<Count>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // A name that is not counted has none.
        open.values_mut().for_each(|number| *number = 0);
        for Count { name, status, number } in counts {
            open.insert((name, status.as_str()), number);
        }
    }

    fn labels(&self, name: &str, status: &'static str) -> [KeyValue; 3] {
        [
            self.service.clone(),
            KeyValue::new("gantry.saga", name.to_owned()),
            KeyValue::new("gantry.state", status),
        ]
    }
}

impl fmt::Debug for Measures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measures").field("service", &self.service).finish_non_exhaustive()
    }
}
