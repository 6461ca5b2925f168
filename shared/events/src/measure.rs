//! Metrics of relay and consumer, listed in docs/METRICS.md.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, Meter},
};
use time::OffsetDateTime;

use crate::{BusError, Event, Handled, Lag, PublishError, PublishFailure};

/// End of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PublishOutcome {
    Confirmed,
    Unavailable,
    Misconfigured,
    Refused,
}

impl PublishOutcome {
    const FAILURES: [Self; 3] = [Self::Unavailable, Self::Misconfigured, Self::Refused];

    pub(crate) fn of(published: &Result<(), PublishError>) -> Self {
        match published.as_ref().map_err(|error| &error.cause) {
            Ok(()) => Self::Confirmed,
            Err(PublishFailure::Bus(error)) => Self::of_bus(error),
            Err(PublishFailure::Refused(_)) => Self::Refused,
        }
    }

    pub(crate) fn of_bus(error: &BusError) -> Self {
        match error {
            BusError::Unavailable(_) => Self::Unavailable,
            BusError::Misconfigured(_) => Self::Misconfigured,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unavailable => "unavailable",
            Self::Misconfigured => "misconfigured",
            Self::Refused => "refused",
        }
    }
}

/// Metrics of a relay, or of none.
#[derive(Debug)]
pub(crate) struct RelayMeasures {
    instruments: Option<RelayInstruments>,
    lag: Mutex<Lag>,
    blocked: AtomicU64,
    leased: AtomicBool,
}

#[derive(Debug)]
struct RelayInstruments {
    service: KeyValue,
    published: Counter<u64>,
    failures: Counter<u64>,
    duration: Histogram<f64>,
}

impl RelayMeasures {
    /// Measures nothing.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self::with(None))
    }

    fn with(instruments: Option<RelayInstruments>) -> Self {
        let (lag, blocked, leased) = Default::default();
        Self { instruments, lag, blocked, leased }
    }

    pub(crate) fn new(meter: &Meter, service: &str) -> Arc<Self> {
        let instruments = RelayInstruments {
            service: KeyValue::new("gantry.service", service.to_owned()),
            published: meter
                .u64_counter("gantry.events.published")
                .with_unit("{event}")
                .with_description("Events that the bus has confirmed.")
                .build(),
            failures: meter
                .u64_counter("gantry.events.publish.failures")
                .with_unit("{batch}")
                .with_description(
                    "Batches of events that failed and publishers that were not opened, by cause.",
                )
                .build(),
            duration: meter
                .f64_histogram("gantry.events.publish.duration")
                .with_unit("s")
                .with_description("Time from publishing a batch of events to its last confirm.")
                .build(),
        };
        instruments.published.add(0, std::slice::from_ref(&instruments.service));
        for outcome in PublishOutcome::FAILURES {
            instruments.failures.add(0, &instruments.failure(outcome));
        }
        let this = Arc::new(Self::with(Some(instruments)));
        this.observe(meter, service);
        this
    }

    /// Reports the last numbers at each collection, as long as the relay exists.
    fn observe(self: &Arc<Self>, meter: &Meter, service: &str) {
        let label = [KeyValue::new("gantry.service", service.to_owned())];
        let gauge = |name, unit, description, value: fn(&Self) -> u64| {
            let (this, label) = (Arc::downgrade(self), label.clone());
            meter
                .u64_observable_gauge(name)
                .with_unit(unit)
                .with_description(description)
                .with_callback(move |gauge| {
                    if let Some(this) = this.upgrade() {
                        gauge.observe(value(&this), &label);
                    }
                })
                .build();
        };
        gauge("gantry.events.outbox", "{event}", "Events that are not published.", |this| {
            this.last_lag().events
        });
        gauge(
            "gantry.events.blocked",
            "{aggregate}",
            "Aggregates with an event that the bus refuses.",
            |this| this.blocked.load(Ordering::Relaxed),
        );
        gauge("gantry.events.relay", "{relay}", "Whether this process publishes.", |this| {
            this.leased.load(Ordering::Relaxed).into()
        });
        let (this, label) = (Arc::downgrade(self), label.clone());
        meter
            .f64_observable_gauge("gantry.events.outbox.age")
            .with_unit("s")
            .with_description("Age of the oldest event that is not published.")
            .with_callback(move |gauge| {
                if let Some(this) = this.upgrade() {
                    gauge.observe(this.last_lag().age.as_secs_f64(), &label);
                }
            })
            .build();
    }

    fn last_lag(&self) -> Lag {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lag(&self, lag: Lag) {
        *self.lag.lock().unwrap_or_else(PoisonError::into_inner) = lag;
    }

    pub(crate) fn blocked(&self, number: usize) {
        self.blocked.store(number.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn holds_lease(&self, holds: bool) {
        self.leased.store(holds, Ordering::Relaxed);
        if !holds {
            // The other relay knows.
            self.blocked(0);
        }
    }

    pub(crate) fn stopped(&self) {
        self.holds_lease(false);
    }

    pub(crate) fn published(&self, events: usize, took: Duration, outcome: PublishOutcome) {
        let Some(instruments) = &self.instruments else { return };
        let service = std::slice::from_ref(&instruments.service);
        instruments.published.add(events.try_into().unwrap_or(u64::MAX), service);
        if outcome == PublishOutcome::Confirmed {
            instruments.duration.record(took.as_secs_f64(), service);
        } else {
            self.failed(outcome);
        }
    }

    /// Notes a batch that failed, or a publisher that was not opened.
    pub(crate) fn failed(&self, outcome: PublishOutcome) {
        if let Some(instruments) = &self.instruments {
            instruments.failures.add(1, &instruments.failure(outcome));
        }
    }
}

impl RelayInstruments {
    fn failure(&self, outcome: PublishOutcome) -> [KeyValue; 2] {
        [self.service.clone(), KeyValue::new("gantry.cause", outcome.as_str())]
    }
}

/// Reason for another attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RetryCause {
    Store,
    Failed,
}

/// Metrics of a consumer, or of none.
#[derive(Debug)]
pub(crate) struct ConsumerMeasures(Option<ConsumerInstruments>);

#[derive(Debug)]
struct ConsumerInstruments {
    labels: [KeyValue; 2],
    consumed: Counter<u64>,
    retries: Counter<u64>,
    reconnects: Counter<u64>,
    age: Histogram<f64>,
}

impl ConsumerMeasures {
    /// Measures nothing.
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self(None))
    }

    pub(crate) fn new(meter: &Meter, service: &str, consumer: &str) -> Arc<Self> {
        let counter = |name, unit, description| {
            meter.u64_counter(name).with_unit(unit).with_description(description).build()
        };
        let instruments = ConsumerInstruments {
            labels: [
                KeyValue::new("gantry.service", service.to_owned()),
                KeyValue::new("gantry.consumer", consumer.to_owned()),
            ],
            consumed: counter(
                "gantry.events.consumed",
                "{event}",
                "Delivered events, by what became of them.",
            ),
            retries: counter(
                "gantry.events.retries",
                "{attempt}",
                "Failed attempts to handle an event, by cause.",
            ),
            reconnects: counter(
                "gantry.events.reconnects",
                "{failure}",
                "Subscriptions that ended or were not opened.",
            ),
            age: meter
                .f64_histogram("gantry.events.consumed.age")
                .with_unit("s")
                .with_description("Time from the change that an event tells of to its effect.")
                .build(),
        };
        for outcome in ["applied", "released", "duplicate", "held", "parked", "unreadable"] {
            instruments.consumed(0, outcome);
        }
        for cause in ["store", "failed"] {
            instruments.retries.add(0, &instruments.with("gantry.cause", cause));
        }
        instruments.reconnects.add(0, &instruments.labels);
        Arc::new(Self(Some(instruments)))
    }

    pub(crate) fn handled(&self, event: &Event, handled: Handled) {
        let Some(instruments) = &self.0 else { return };
        match handled {
            Handled::Applied { released } => {
                instruments.consumed(1, "applied");
                instruments.consumed(released, "released");
                // Another machine's clock: it may be a moment ahead.
                let age = (OffsetDateTime::now_utc() - event.time).as_seconds_f64().max(0.0);
                instruments.age.record(age, &instruments.labels);
            }
            Handled::Duplicate => instruments.consumed(1, "duplicate"),
            Handled::Held => instruments.consumed(1, "held"),
            Handled::Parked => instruments.consumed(1, "parked"),
        }
    }

    pub(crate) fn unreadable(&self) {
        if let Some(instruments) = &self.0 {
            instruments.consumed(1, "unreadable");
        }
    }

    pub(crate) fn retry(&self, cause: RetryCause) {
        let cause = match cause {
            RetryCause::Store => "store",
            RetryCause::Failed => "failed",
        };
        if let Some(instruments) = &self.0 {
            instruments.retries.add(1, &instruments.with("gantry.cause", cause));
        }
    }

    pub(crate) fn reconnect(&self) {
        if let Some(instruments) = &self.0 {
            instruments.reconnects.add(1, &instruments.labels);
        }
    }
}

impl ConsumerInstruments {
    fn with(&self, key: &'static str, value: &'static str) -> [KeyValue; 3] {
        let [service, consumer] = self.labels.clone();
        [service, consumer, KeyValue::new(key, value)]
    }

    fn consumed(&self, number: u64, outcome: &'static str) {
        self.consumed.add(number, &self.with("gantry.outcome", outcome));
    }
}
