//! Contract of the bus in memory, and its own rules.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use gantry_events::{
    Bus, BusError, Scope, Subscription,
    envelope::Message,
    memory::MemoryBus,
    testing::{aggregate, bus::Broker, event, events},
};

#[derive(Debug)]
struct Memory(MemoryBus);

#[async_trait]
impl Broker for Memory {
    async fn bus(&self) -> Arc<dyn Bus> {
        Arc::new(self.0.clone())
    }

    async fn publish_unreadable(&self, kind: &str) {
        self.0.inject(kind, unreadable());
    }

    async fn unreadable(&self) -> usize {
        self.0.unreadable().len()
    }
}

fn unreadable() -> Message {
    Message { headers: Vec::new(), body: Bytes::from_static(b"no event") }
}

gantry_events::bus_contract!(Memory(MemoryBus::requiring(50, [], ["order", "stock", "user"])));

fn subscription(scope: Scope) -> Subscription {
    Subscription {
        consumer: "reader".to_owned(),
        scope,
        aggregates: vec!["order".to_owned()],
        prefetch: NonZeroU16::MIN.saturating_add(9),
    }
}

#[tokio::test]
async fn a_publisher_waits_for_the_required_queues() {
    let bus = MemoryBus::requiring(10, ["reader"], []);
    let error = bus.publisher().await.unwrap_err();
    assert_eq!(error.to_string(), "no queue yet of reader");
    drop(bus.subscribe(&subscription(Scope::Process)).await.unwrap());
    assert!(bus.publisher().await.is_err(), "a process has a queue of its own");
    drop(bus.subscribe(&subscription(Scope::Service)).await.unwrap());
    assert!(bus.publisher().await.is_ok());
}

#[tokio::test]
async fn an_event_that_nobody_wants_is_confirmed() {
    let bus = MemoryBus::new(10);
    let mut publisher = bus.publisher().await.unwrap();
    publisher.publish(&events(&[aggregate("order", 1)], 1, 100)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_event_is_confirmed_when_every_service_has_settled_it() {
    let bus = MemoryBus::new(10);
    let mut one = bus.subscribe(&subscription(Scope::Service)).await.unwrap();
    let other = Subscription { consumer: "other".to_owned(), ..subscription(Scope::Service) };
    let mut other = bus.subscribe(&other).await.unwrap();
    let _process = bus.subscribe(&subscription(Scope::Process)).await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let batch = [event(&aggregate("order", 1), 1)];
    let mut publishing = publisher.publish(&batch);
    for deliveries in [&mut one, &mut other] {
        let waited = tokio::time::timeout(Duration::from_secs(3600), &mut publishing).await;
        assert!(waited.is_err(), "a service has not settled it");
        let tag = deliveries.next().await.unwrap().tag;
        deliveries.settle(tag).await.unwrap();
    }
    publishing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_of_a_service_makes_publishers_wait() {
    let bus = MemoryBus::new(3);
    let mut deliveries = bus.subscribe(&subscription(Scope::Service)).await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    let batch = events(&[aggregate("order", 1)], 1, 5);
    let mut publishing = publisher.publish(&batch);
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut publishing).await.is_err());
    drop(publishing);
    let mut waiting = 0;
    while tokio::time::timeout(Duration::from_secs(1), deliveries.next()).await.is_ok() {
        waiting += 1;
    }
    assert_eq!(waiting, 3);
}

#[tokio::test]
async fn a_process_that_falls_behind_loses_its_queue() {
    let bus = MemoryBus::new(3);
    let mut deliveries = bus.subscribe(&subscription(Scope::Process)).await.unwrap();
    let mut publisher = bus.publisher().await.unwrap();
    publisher.publish(&events(&[aggregate("order", 1)], 1, 4)).await.unwrap();
    let error = deliveries.next().await.unwrap_err();
    assert!(matches!(&error, BusError::Unavailable(why) if why.contains("3 events behind")));
    drop(deliveries);
    let mut deliveries = bus.subscribe(&subscription(Scope::Process)).await.unwrap();
    publisher.publish(&[event(&aggregate("order", 1), 5)]).await.unwrap();
    assert_eq!(deliveries.next().await.unwrap().event.unwrap().sequence, 5);
}

#[tokio::test]
async fn unreadable_messages_are_kept_in_bounds() {
    let bus = MemoryBus::new(3);
    let mut deliveries = bus.subscribe(&subscription(Scope::Service)).await.unwrap();
    for _ in 0..150 {
        bus.inject("order", unreadable());
        let tag = deliveries.next().await.unwrap().tag;
        deliveries.settle(tag).await.unwrap();
    }
    assert_eq!(bus.unreadable().len(), 100);
}
