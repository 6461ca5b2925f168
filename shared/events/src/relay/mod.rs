//! Relay: publishes the events of an outbox.

mod blocked;
mod lease;

use std::{sync::Arc, time::Duration};

use opentelemetry::metrics::Meter;
use tokio::{
    select,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{blocked::Blocked, lease::Lease};
use crate::{
    Bus, BusError, Event, Outbox, PublishError, PublishFailure, Publisher, RelaySettings,
    StoreError,
    measure::{PublishOutcome, RelayMeasures},
    settings::Backoff,
};

/// Interval at which the lag is measured.
const LAG_EVERY: Duration = Duration::from_secs(5);

/// Publishes the events of a service's outbox, in order per aggregate, and marks each only after the bus
/// has confirmed it.
///
/// - An error ends the publisher and the batch. The next batch begins at the first event that is not
///   marked, so events are repeated and never skipped.
/// - An event that the bus refuses blocks its aggregate. The others go on, and the blocked one is tried
///   again with backoff.
/// - While the broker or the database is away, the relay waits with backoff and reads nothing.
/// - Several relays of one outbox are safe: the lease makes one of them work at a time, and two at once
///   only make duplicates.
#[derive(Debug)]
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
    settings: RelaySettings,
    measures: Arc<RelayMeasures>,
}

impl Relay {
    /// Creates a relay. It does nothing until it runs.
    pub fn new(outbox: Arc<dyn Outbox>, bus: Arc<dyn Bus>, settings: RelaySettings) -> Self {
        Self { outbox, bus, settings, measures: RelayMeasures::none() }
    }

    /// Measures the relay, as that of `service`: docs/METRICS.md lists the metrics.
    #[must_use]
    pub fn measured(self, meter: &Meter, service: &str) -> Self {
        Self { measures: RelayMeasures::new(meter, service), ..self }
    }

    /// Publishes until `stop` is cancelled. Then it waits for the confirms of the batch in hand, for
    /// [`drain_timeout`](RelaySettings::drain_timeout) at most, marks them and releases the lease.
    ///
    /// The future may be dropped at any time: events whose confirms are lost are published again.
    pub async fn run(self, stop: CancellationToken) {
        let Self { outbox, bus, settings, measures } = self;
        let backoff = settings.backoff();
        let work = Work {
            lease: Lease::new(Arc::clone(&outbox), settings.lease),
            blocked: Blocked::new(backoff, Instant::now()),
            publisher: None,
            unmarked: Vec::new(),
            store: Failures::new(backoff, "outbox"),
            broker: Failures::new(backoff, "broker"),
            measures: Arc::clone(&measures),
            outbox: Arc::clone(&outbox),
            bus,
            settings,
        };
        select! {
            () = work.run(&stop) => {}
            () = measure_lag(&*outbox, &measures) => {}
        }
        measures.stopped();
    }
}

/// Measures the lag for as long as the future is polled. A failure keeps the last numbers.
async fn measure_lag(outbox: &dyn Outbox, measures: &RelayMeasures) {
    loop {
        match outbox.lag().await {
            Ok(lag) => measures.lag(lag),
            Err(error) => tracing::debug!(%error, "the lag of the outbox was not measured"),
        }
        sleep(LAG_EVERY).await;
    }
}

/// Failures in a row of the broker or the database. A small circuit breaker: nothing is tried during the
/// wait.
#[derive(Debug)]
struct Failures {
    backoff: Backoff,
    what: &'static str,
    number: u32,
}

impl Failures {
    fn new(backoff: Backoff, what: &'static str) -> Self {
        Self { backoff, what, number: 0 }
    }

    /// Notes a failure. Returns the wait before the next attempt. An outage is logged once.
    fn failed(&mut self, error: &dyn std::error::Error) -> Pause {
        self.number = self.number.saturating_add(1);
        let wait = self.backoff.after(self.number);
        if self.number == 1 {
            tracing::warn!(%error, ?wait, "events wait: the {} failed", self.what);
        } else {
            tracing::debug!(%error, ?wait, failures = self.number, "the {} failed", self.what);
        }
        Pause::For(wait)
    }

    fn succeeded(&mut self) {
        if self.number > 0 {
            tracing::info!(failures = self.number, "the {} is back", self.what);
        }
        self.number = 0;
    }
}

/// Next step of the relay.
enum Step {
    /// Publish these.
    Publish(Vec<Event>),
    Pause(Pause),
}

enum Pause {
    /// Go on at once.
    None,
    /// Wait for so long.
    For(Duration),
    /// Wait until the outbox has changed, or for so long.
    Change(Duration),
}

struct Work {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
    settings: RelaySettings,
    measures: Arc<RelayMeasures>,
    lease: Lease,
    blocked: Blocked,
    publisher: Option<Box<dyn Publisher>>,
    /// Confirmed events that are still to be marked.
    unmarked: Vec<Event>,
    store: Failures,
    broker: Failures,
}

impl Work {
    async fn run(mut self, stop: &CancellationToken) {
        let drain_timeout = self.settings.drain_timeout;
        loop {
            let step = select! {
                biased;
                () = stop.cancelled() => break,
                step = self.prepare() => step,
            };
            let pause = match step {
                Step::Pause(pause) => pause,
                Step::Publish(events) => {
                    let drained = async {
                        stop.cancelled().await;
                        sleep(drain_timeout).await;
                    };
                    select! {
                        biased;
                        pause = self.publish(events) => pause,
                        () = drained => {
                            tracing::warn!("confirms are missing: the last events are repeated");
                            break;
                        }
                    }
                }
            };
            let pause = async {
                match pause {
                    Pause::None => {}
                    Pause::For(wait) => sleep(wait).await,
                    Pause::Change(wait) => self.outbox.changed(wait).await,
                }
            };
            select! {
                biased;
                () = stop.cancelled() => break,
                () = pause => {}
            }
        }
        let ended = async {
            self.mark().await?;
            self.lease.release().await
        };
        match timeout(drain_timeout, ended).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the lease of the outbox was not released"),
            Err(_) => tracing::warn!("the lease of the outbox was not released in time"),
        }
    }

    /// Reads the next batch, with everything that it needs.
    async fn prepare(&mut self) -> Step {
        match self.read().await {
            Ok(step) => {
                self.store.succeeded();
                step
            }
            Err(error) => Step::Pause(self.store.failed(&error)),
        }
    }

    async fn read(&mut self) -> Result<Step, StoreError> {
        self.mark().await?;
        if !self.lease.hold().await? {
            self.measures.holds_lease(false);
            self.publisher = None;
            return Ok(Step::Pause(Pause::For(self.lease.interval())));
        }
        self.measures.holds_lease(true);
        // Before anything is read: while the broker is away, the database is left alone.
        if self.publisher.is_none() {
            match self.bus.publisher().await {
                Ok(publisher) => self.publisher = Some(publisher),
                Err(error) => {
                    self.measures.failed(PublishOutcome::of_bus(&error));
                    return Ok(Step::Pause(self.broker_failed(&error)));
                }
            }
        }
        let now = Instant::now();
        self.blocked.choose(now);
        let window = self.settings.window.get();
        let events = self.outbox.unpublished(window, self.blocked.excluded()).await?;
        let is_all = events.len() < window;
        if let Some(tried) = self.blocked.tried()
            && is_all
            && !events.iter().any(|event| event.aggregate == *tried)
        {
            // Another relay has published its events.
            self.blocked.passed(now);
        }
        self.measures.blocked(self.blocked.len());
        if !events.is_empty() {
            return Ok(Step::Publish(events));
        }
        let trial = self.blocked.wait(now).unwrap_or(Duration::MAX);
        Ok(Step::Pause(Pause::Change(trial.min(self.settings.poll))))
    }

    async fn publish(&mut self, events: Vec<Event>) -> Pause {
        // `read` has opened it.
        let Some(publisher) = &mut self.publisher else { return Pause::None };
        let began = Instant::now();
        let published = select! {
            biased;
            published = publisher.publish(&events) => published,
            // Never ends.
            () = self.lease.extend() => return Pause::None,
        };
        let outcome = PublishOutcome::of(&published);
        let now = Instant::now();
        let confirmed = published.as_ref().err().map_or(events.len(), |error| error.confirmed);
        let confirmed = confirmed.min(events.len());
        self.measures.published(confirmed, now - began, outcome);
        self.blocked.published(&events[..confirmed], now);
        let first_unconfirmed = events.get(confirmed).cloned();
        self.unmarked = events;
        self.unmarked.truncate(confirmed);
        let pause = match published {
            Ok(()) => {
                self.broker.succeeded();
                Pause::None
            }
            Err(error) => {
                self.publisher = None;
                if confirmed > 0 {
                    self.broker.succeeded();
                }
                self.failed(error, first_unconfirmed, now)
            }
        };
        self.measures.blocked(self.blocked.len());
        match self.mark().await {
            Ok(()) => pause,
            // Marked before anything else is read.
            Err(error) => self.store.failed(&error),
        }
    }

    fn failed(&mut self, error: PublishError, event: Option<Event>, now: Instant) -> Pause {
        match (error.cause, event) {
            (PublishFailure::Refused(reason), Some(event)) => {
                let Event { aggregate, sequence, kind, .. } = &event;
                if self.blocked.is_full() && self.blocked.tried() != Some(aggregate) {
                    // So many events are refused that the bus is at fault: all wait.
                    return self.broker.failed(&PublishFailure::Refused(reason));
                }
                if self.blocked.refused(aggregate, now) {
                    tracing::error!(%aggregate, sequence, kind, reason, "event refused: it blocks its aggregate");
                } else {
                    tracing::debug!(%aggregate, sequence, kind, reason, "event refused again");
                }
                Pause::None
            }
            (PublishFailure::Bus(error), _) => self.broker_failed(&error),
            (error @ PublishFailure::Refused(_), None) => self.broker.failed(&error),
        }
    }

    fn broker_failed(&mut self, error: &BusError) -> Pause {
        if matches!(error, BusError::Misconfigured(_)) && self.broker.number == 0 {
            tracing::error!(%error, "events wait: the broker refuses the configuration");
        }
        self.broker.failed(error)
    }

    /// Marks the confirmed events.
    async fn mark(&mut self) -> Result<(), StoreError> {
        if !self.unmarked.is_empty() {
            self.outbox.mark_published(&self.unmarked).await?;
            self.unmarked.clear();
        }
        Ok(())
    }
}
