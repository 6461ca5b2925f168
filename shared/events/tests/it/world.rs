//! Relay, bus and consumer in paused time.

use std::{future::Future, sync::Arc, time::Duration};

use gantry_events::{
    Aggregate, Bus, Consumer, ConsumerSettings, Handler, Outbox, Relay, RelaySettings, Scope,
    memory::MemoryBus,
    testing::{FaultyBus, MemoryInbox, MemoryOutbox, aggregate},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// Longest time, by the paused clock, after which a state must be there.
const SOON: Duration = Duration::from_secs(1800);

/// Settings without jitter.
pub(crate) fn relay_settings() -> RelaySettings {
    RelaySettings { jitter: 0.0, ..RelaySettings::default() }
}

/// Settings without jitter.
pub(crate) fn consumer_settings() -> ConsumerSettings {
    ConsumerSettings { jitter: 0.0, ..ConsumerSettings::default() }
}

pub(crate) fn orders(number: u128) -> Vec<Aggregate> {
    (1..=number).map(|id| aggregate("order", id)).collect()
}

/// Task with its stop.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start<F: Future<Output = ()> + Send + 'static>(
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stop.clone()));
        Self { stop, task }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Ends it at its next wait, as a crash does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A publishing and a consuming service on one bus.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) outbox: MemoryOutbox,
    pub(crate) bus: FaultyBus,
    pub(crate) inbox: MemoryInbox,
}

impl World {
    pub(crate) fn new() -> Self {
        let bus = FaultyBus::new(MemoryBus::requiring(1000, ["reader"], ["order"]));
        Self { outbox: MemoryOutbox::default(), bus, inbox: MemoryInbox::default() }
    }

    pub(crate) fn relay(&self) -> Running {
        self.relay_with(relay_settings())
    }

    pub(crate) fn relay_with(&self, settings: RelaySettings) -> Running {
        let outbox: Arc<dyn Outbox> = Arc::new(self.outbox.clone());
        let bus: Arc<dyn Bus> = Arc::new(self.bus.clone());
        Running::start(|stop| Relay::new(outbox, bus, settings).run(stop))
    }

    pub(crate) fn consumer(&self) -> Running {
        self.consumer_with(consumer_settings())
    }

    pub(crate) fn consumer_with(&self, settings: ConsumerSettings) -> Running {
        let handler: Arc<dyn Handler> = Arc::new(self.inbox.clone());
        let bus: Arc<dyn Bus> = Arc::new(self.bus.clone());
        let consumer = Consumer::new(bus, "reader", Scope::Service, &["order"], handler, settings);
        Running::start(|stop| consumer.run(stop))
    }

    pub(crate) fn write(&self, aggregates: &[Aggregate], times: usize) {
        for _ in 0..times {
            for aggregate in aggregates {
                self.outbox.write(aggregate);
            }
        }
    }

    /// Waits until every event has taken effect.
    pub(crate) async fn settled(&self) {
        until("all effects", || {
            self.outbox.waiting() == 0 && self.inbox.effects().len() == self.outbox.events().len()
        })
        .await;
        self.check();
    }

    /// Asserts that the effects of each aggregate are 1, 2, 3 and so on.
    pub(crate) fn check(&self) {
        let mut aggregates: Vec<_> =
            self.outbox.events().into_iter().map(|event| event.aggregate).collect();
        aggregates.sort();
        aggregates.dedup();
        for aggregate in aggregates {
            let effects = self.inbox.effects_of(&aggregate);
            let number = i64::try_from(effects.len()).unwrap();
            assert_eq!(effects, (1..=number).collect::<Vec<_>>(), "{aggregate}");
        }
    }
}

/// Waits for a state.
pub(crate) async fn until(what: &str, state: impl Fn() -> bool) {
    let began = Instant::now();
    while !state() {
        assert!(began.elapsed() < SOON, "{what}: not after {SOON:?}");
        sleep(Duration::from_millis(1)).await;
    }
}
