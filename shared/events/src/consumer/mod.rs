//! Consumer: gives the events of a subscription to a handler.

mod lanes;

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use tokio::{
    select,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::lanes::Lanes;
use crate::{
    Bus, BusError, ConsumerSettings, Deliveries, Delivery, Handler, Scope, Subscription,
    measure::ConsumerMeasures,
};

/// Takes the deliveries of a subscription, gives them to a [`Handler`] and settles them.
///
/// - All events of an aggregate use one lane, in order. Lanes work at the same time.
/// - A failing event holds its lane, with backoff. After some attempts it is parked, and the lane goes on.
///   A panic is a failure.
/// - A failing storage says nothing about an event: it is tried until the storage is back.
/// - An unreadable message is settled, counted and logged.
/// - After an error of the bus the consumer subscribes again, with backoff.
#[derive(Debug)]
pub struct Consumer {
    bus: Arc<dyn Bus>,
    subscription: Subscription,
    handler: Arc<dyn Handler>,
    settings: ConsumerSettings,
    measures: Arc<ConsumerMeasures>,
}

impl Consumer {
    /// Creates the consumer `name` of these kinds of aggregates. It does nothing until it runs.
    pub fn new(
        bus: Arc<dyn Bus>,
        name: impl Into<String>,
        scope: Scope,
        aggregates: &[&str],
        handler: Arc<dyn Handler>,
        settings: ConsumerSettings,
    ) -> Self {
        let subscription = Subscription {
            consumer: name.into(),
            scope,
            aggregates: aggregates.iter().map(|kind| (*kind).to_owned()).collect(),
            prefetch: settings.prefetch,
        };
        Self { bus, subscription, handler, settings, measures: ConsumerMeasures::none() }
    }

    /// Measures the consumer, as one of `service`: docs/METRICS.md lists the metrics.
    #[must_use]
    pub fn measured(self, meter: &Meter, service: &str) -> Self {
        let measures = ConsumerMeasures::new(meter, service, &self.subscription.consumer);
        Self { measures, ..self }
    }

    /// Consumes until `stop` is cancelled. Then it takes no more events, settles those in hand within
    /// [`drain_timeout`](ConsumerSettings::drain_timeout) and closes the subscription. Events that are not
    /// settled by then, or that are failing, are delivered again.
    ///
    /// The future may be dropped at any time: what is not settled is delivered again.
    pub async fn run(self, stop: CancellationToken) {
        let consumer = self.subscription.consumer.as_str();
        let backoff = self.settings.backoff();
        let mut failures = 0_u32;
        loop {
            let subscribed = select! {
                biased;
                () = stop.cancelled() => return,
                subscribed = self.bus.subscribe(&self.subscription) => subscribed,
            };
            let error = match subscribed {
                Ok(deliveries) => {
                    if failures > 0 {
                        tracing::info!(consumer, failures, "subscribed again");
                    }
                    self.handler.subscribed().await;
                    let mut session = Session { settled: 0, in_hand: 0, consumer: &self };
                    let ended = session.run(deliveries, &stop).await;
                    if session.settled > 0 {
                        failures = 0;
                    }
                    match ended {
                        Ok(()) => return,
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            failures = failures.saturating_add(1);
            self.measures.reconnect();
            let wait = backoff.after(failures);
            match error {
                BusError::Misconfigured(_) if failures == 1 => {
                    tracing::error!(consumer, %error, ?wait, "the broker refuses the subscription");
                }
                _ if failures == 1 => {
                    tracing::warn!(consumer, %error, ?wait, "the subscription failed");
                }
                _ => tracing::debug!(consumer, %error, ?wait, failures, "the subscription failed"),
            }
            select! {
                biased;
                () = stop.cancelled() => return,
                () = sleep(wait) => {}
            }
        }
    }
}

/// One subscription, from its beginning to its end.
struct Session<'a> {
    consumer: &'a Consumer,
    /// Number of settled deliveries.
    settled: u64,
    /// Number of events that are not settled.
    in_hand: usize,
}

impl Session<'_> {
    /// Returns an error if the subscription has ended, and nothing once it was stopped.
    async fn run(
        &mut self,
        mut deliveries: Box<dyn Deliveries>,
        stop: &CancellationToken,
    ) -> Result<(), BusError> {
        let Consumer { handler, settings, measures, .. } = self.consumer;
        let mut lanes = Lanes::start(handler, settings, measures);
        let mut ended = self.consume(&mut *deliveries, &mut lanes, stop).await;
        if ended.is_ok() {
            lanes.drain();
            ended = self.drain(&mut *deliveries, &mut lanes).await;
        }
        // Before the next subscription: it delivers again what these lanes have.
        lanes.abandon(settings.drain_timeout).await;
        if ended.is_ok() && self.in_hand == 0 {
            deliveries.close().await;
        }
        ended
    }

    /// Consumes until it is stopped.
    async fn consume(
        &mut self,
        deliveries: &mut dyn Deliveries,
        lanes: &mut Lanes,
        stop: &CancellationToken,
    ) -> Result<(), BusError> {
        loop {
            select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(tag) = lanes.handled() => self.settle(deliveries, tag).await?,
                delivery = deliveries.next() => self.take(deliveries, lanes, delivery?).await?,
            }
        }
    }

    async fn take(
        &mut self,
        deliveries: &mut dyn Deliveries,
        lanes: &Lanes,
        Delivery { tag, event }: Delivery,
    ) -> Result<(), BusError> {
        let consumer = self.consumer.subscription.consumer.as_str();
        match event {
            Ok(event) => {
                let more = "the bus delivers more than may be unsettled";
                lanes.put(tag, event).map_err(|_| BusError::Unavailable(more.to_owned()))?;
                self.in_hand += 1;
            }
            Err(reason) => {
                tracing::error!(consumer, reason, "unreadable message put aside");
                self.consumer.measures.unreadable();
                deliveries.settle(tag).await?;
                self.settled += 1;
            }
        }
        Ok(())
    }

    async fn settle(&mut self, deliveries: &mut dyn Deliveries, tag: u64) -> Result<(), BusError> {
        deliveries.settle(tag).await?;
        self.in_hand = self.in_hand.saturating_sub(1);
        self.settled += 1;
        Ok(())
    }

    /// Settles the events in hand, as far as they are handled in time.
    async fn drain(
        &mut self,
        deliveries: &mut dyn Deliveries,
        lanes: &mut Lanes,
    ) -> Result<(), BusError> {
        let within = self.consumer.settings.drain_timeout;
        let drained = async {
            while let Some(tag) = lanes.handled().await {
                self.settle(deliveries, tag).await?;
            }
            Ok(())
        };
        let drained = timeout(within, drained).await;
        if self.in_hand > 0 {
            let consumer = self.consumer.subscription.consumer.as_str();
            tracing::warn!(consumer, events = self.in_hand, "events in hand are delivered again");
        }
        drained.unwrap_or(Ok(()))
    }
}
