//! Contract of a [`Bus`]: one test for each promise. [`bus_contract!`](crate::bus_contract) makes tests of them.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fmt, future::Future, num::NonZeroU16, sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{task::JoinHandle, time::timeout};

use super::{aggregate, event, events};
use crate::{
    Bus, Deliveries, Event, PublishError, PublishFailure, Scope, Subscription, envelope::MAX_DATA,
};

/// Time after which a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time for which nothing may happen, where a test says so.
const SILENCE: Duration = Duration::from_millis(300);

/// Broker without queues, for one test. It refuses events of the kinds `order`, `stock` and `user` if no
/// queue takes them.
#[async_trait]
pub trait Broker: fmt::Debug + Send + Sync {
    /// Returns the bus, as another process has it.
    async fn bus(&self) -> Arc<dyn Bus>;

    /// Puts a message that is no event into the queues of a kind of aggregates.
    async fn publish_unreadable(&self, kind: &str);

    /// Returns the number of unreadable messages that an operator finds.
    async fn unreadable(&self) -> usize;
}

/// Makes a test of each function of this module, with a broker from this expression. It may await.
#[macro_export]
macro_rules! bus_contract {
    ($broker:expr) => {
        $crate::bus_contract!(@ $broker;
            events_arrive_whole_and_in_order
            a_subscription_gets_its_kinds_alone
            a_queue_keeps_events_without_a_consumer
            unsettled_deliveries_return_to_the_head_in_order
            settled_deliveries_never_return
            one_consumer_of_a_service_is_served_at_a_time
            every_process_gets_every_event
            a_process_takes_its_queue_with_it
            prefetch_limits_what_is_unsettled
            a_dropped_next_loses_nothing
            a_dropped_publish_can_be_repeated
            the_largest_payload_arrives
            an_event_that_is_too_large_is_refused_alone
            an_event_without_a_queue_is_refused
            an_unreadable_message_is_put_aside
        );
    };
    (@ $broker:expr; $($name:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::testing::bus::$name(&$broker).await;
        }
    )*};
}

/// Waits for a result.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what}: nothing for 60 s"))
}

/// Returns a subscription of a service to a kind.
fn service(consumer: &str, kinds: &[&str]) -> Subscription {
    Subscription {
        consumer: consumer.to_owned(),
        scope: Scope::Service,
        aggregates: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        prefetch: NonZeroU16::MIN.saturating_add(99),
    }
}

async fn subscribe(broker: &dyn Broker, subscription: &Subscription) -> Box<dyn Deliveries> {
    let bus = broker.bus().await;
    soon("subscribe", bus.subscribe(subscription)).await.unwrap()
}

/// Publishes in a task of its own: a bus may confirm when the events are settled.
async fn publish(broker: &dyn Broker, events: Vec<Event>) -> JoinHandle<Result<(), PublishError>> {
    let bus = broker.bus().await;
    let mut publisher = soon("publisher", bus.publisher()).await.unwrap();
    tokio::spawn(async move { publisher.publish(&events).await })
}

async fn confirmed(publishing: JoinHandle<Result<(), PublishError>>) {
    soon("confirms", publishing).await.unwrap().unwrap();
}

/// Takes the next deliveries without settling them.
async fn take(deliveries: &mut dyn Deliveries, number: usize) -> Vec<(u64, Event)> {
    let mut taken = Vec::new();
    while taken.len() < number {
        let delivery = soon("delivery", deliveries.next()).await.unwrap();
        taken.push((delivery.tag, delivery.event.unwrap()));
    }
    taken
}

/// Takes the next deliveries and settles each of them.
async fn consume(deliveries: &mut dyn Deliveries, number: usize) -> Vec<Event> {
    let mut consumed = Vec::new();
    while consumed.len() < number {
        let delivery = soon("delivery", deliveries.next()).await.unwrap();
        soon("settle", deliveries.settle(delivery.tag)).await.unwrap();
        consumed.push(delivery.event.unwrap());
    }
    consumed
}

async fn is_silent(deliveries: &mut dyn Deliveries) {
    if let Ok(delivery) = timeout(SILENCE, deliveries.next()).await {
        panic!("unexpected: {delivery:?}");
    }
}

fn sequences(taken: &[(u64, Event)]) -> Vec<i64> {
    taken.iter().map(|(_, event)| event.sequence).collect()
}

/// Asserts that each aggregate's first deliveries are all of these events, in order.
fn assert_ordered(delivered: &[Event], published: &[Event]) {
    let firsts = |events: &[Event]| {
        let mut by_aggregate: BTreeMap<_, Vec<i64>> = BTreeMap::new();
        for event in events {
            let sequences = by_aggregate.entry(event.aggregate.clone()).or_default();
            if !sequences.contains(&event.sequence) {
                sequences.push(event.sequence);
            }
        }
        by_aggregate
    };
    assert_eq!(firsts(delivered), firsts(published));
}

/// Events arrive with all their fields, in the order of their aggregate.
pub async fn events_arrive_whole_and_in_order(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order", "user"])).await;
    let aggregates = [aggregate("order", 1), aggregate("user", 1), aggregate("order", 2)];
    let published = events(&aggregates, 1, 50);
    let publishing = publish(broker, published.clone()).await;
    let delivered = consume(&mut *deliveries, published.len()).await;
    confirmed(publishing).await;
    assert_eq!(delivered, published);
    deliveries.close().await;
}

/// A queue gets all events of its kinds of aggregates, and no others.
pub async fn a_subscription_gets_its_kinds_alone(broker: &dyn Broker) {
    let mut orders = subscribe(broker, &service("orders", &["order"])).await;
    let mut both = subscribe(broker, &service("both", &["user", "order"])).await;
    let aggregates = [aggregate("order", 1), aggregate("user", 1)];
    let published = events(&aggregates, 1, 10);
    let publishing = publish(broker, published.clone()).await;
    assert_eq!(consume(&mut *both, 20).await, published);
    assert_eq!(consume(&mut *orders, 10).await, events(&aggregates[..1], 1, 10));
    confirmed(publishing).await;
    is_silent(&mut *orders).await;
}

/// A queue of a service outlives its consumers.
pub async fn a_queue_keeps_events_without_a_consumer(broker: &dyn Broker) {
    let subscription = service("reader", &["order"]);
    subscribe(broker, &subscription).await.close().await;
    let published = events(&[aggregate("order", 1)], 1, 20);
    let publishing = publish(broker, published.clone()).await;
    let mut deliveries = subscribe(broker, &subscription).await;
    assert_eq!(consume(&mut *deliveries, 20).await, published);
    confirmed(publishing).await;
}

/// Unsettled deliveries of a dropped subscription come before all later ones, in order.
pub async fn unsettled_deliveries_return_to_the_head_in_order(broker: &dyn Broker) {
    let subscription = service("reader", &["order"]);
    let mut first = subscribe(broker, &subscription).await;
    let order = aggregate("order", 1);
    let publishing = publish(broker, events(std::slice::from_ref(&order), 1, 12)).await;
    let taken = take(&mut *first, 8).await;
    assert_eq!(sequences(&taken), [1, 2, 3, 4, 5, 6, 7, 8]);
    drop(first);
    let mut second = subscribe(broker, &subscription).await;
    let taken = take(&mut *second, 10).await;
    assert_eq!(sequences(&taken), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    drop(second);
    let mut third = subscribe(broker, &subscription).await;
    let later = publish(broker, vec![event(&order, 13)]).await;
    let delivered = consume(&mut *third, 13).await;
    assert_eq!(delivered, events(&[order], 1, 13));
    confirmed(publishing).await;
    confirmed(later).await;
}

/// A settled delivery is done with, whatever the order of settling.
pub async fn settled_deliveries_never_return(broker: &dyn Broker) {
    let subscription = service("reader", &["order"]);
    let mut first = subscribe(broker, &subscription).await;
    let publishing = publish(broker, events(&[aggregate("order", 1)], 1, 6)).await;
    for (tag, _) in take(&mut *first, 6).await.into_iter().rev() {
        first.settle(tag).await.unwrap();
    }
    confirmed(publishing).await;
    first.close().await;
    let mut second = subscribe(broker, &subscription).await;
    is_silent(&mut *second).await;
}

/// The processes of a service take turns: the next one continues where the last one ended.
pub async fn one_consumer_of_a_service_is_served_at_a_time(broker: &dyn Broker) {
    let subscription = service("reader", &["order"]);
    let mut first = subscribe(broker, &subscription).await;
    let mut second = subscribe(broker, &subscription).await;
    let order = [aggregate("order", 1)];
    let publishing = publish(broker, events(&order, 1, 10)).await;
    let consumed = consume(&mut *first, 4).await;
    assert_eq!(consumed, events(&order, 1, 4));
    assert_eq!(sequences(&take(&mut *first, 3).await), [5, 6, 7]);
    is_silent(&mut *second).await;
    drop(first);
    let delivered = consume(&mut *second, 6).await;
    assert_eq!(delivered, events(&order, 5, 10));
    confirmed(publishing).await;
}

/// Processes have queues of their own.
pub async fn every_process_gets_every_event(broker: &dyn Broker) {
    let shared = service("reader", &["order"]);
    let own = Subscription { scope: Scope::Process, ..shared.clone() };
    let mut one = subscribe(broker, &own).await;
    let mut other = subscribe(broker, &own).await;
    let mut service = subscribe(broker, &shared).await;
    let published = events(&[aggregate("order", 1)], 1, 10);
    let publishing = publish(broker, published.clone()).await;
    for deliveries in [&mut one, &mut other, &mut service] {
        assert_eq!(consume(&mut **deliveries, 10).await, published);
    }
    confirmed(publishing).await;
}

/// A process that ends leaves no queue that fills.
pub async fn a_process_takes_its_queue_with_it(broker: &dyn Broker) {
    let own = Subscription { scope: Scope::Process, ..service("reader", &["order"]) };
    let mut service = subscribe(broker, &service("service", &["order"])).await;
    let order = aggregate("order", 1);
    let mut first = subscribe(broker, &own).await;
    let publishing = publish(broker, vec![event(&order, 1)]).await;
    assert_eq!(sequences(&take(&mut *first, 1).await), [1]);
    drop(first);
    consume(&mut *service, 1).await;
    confirmed(publishing).await;
    let mut second = subscribe(broker, &own).await;
    let publishing = publish(broker, vec![event(&order, 2)]).await;
    assert_eq!(consume(&mut *second, 1).await, [event(&order, 2)]);
    consume(&mut *service, 1).await;
    confirmed(publishing).await;
}

/// No more than `prefetch` deliveries are unsettled.
pub async fn prefetch_limits_what_is_unsettled(broker: &dyn Broker) {
    let three = NonZeroU16::MIN.saturating_add(2);
    let subscription = Subscription { prefetch: three, ..service("reader", &["order"]) };
    let mut deliveries = subscribe(broker, &subscription).await;
    let publishing = publish(broker, events(&[aggregate("order", 1)], 1, 5)).await;
    let taken = take(&mut *deliveries, 3).await;
    is_silent(&mut *deliveries).await;
    deliveries.settle(taken[1].0).await.unwrap();
    let more = take(&mut *deliveries, 1).await;
    assert_eq!(sequences(&more), [4]);
    is_silent(&mut *deliveries).await;
    for (tag, _) in [&taken[0], &taken[2], &more[0]] {
        deliveries.settle(*tag).await.unwrap();
    }
    assert_eq!(consume(&mut *deliveries, 1).await[0].sequence, 5);
    confirmed(publishing).await;
}

/// The future of `next` can be dropped at any time.
pub async fn a_dropped_next_loses_nothing(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order"])).await;
    let published = events(&[aggregate("order", 1)], 1, 300);
    let publishing = publish(broker, published.clone()).await;
    let delivered = soon("deliveries", async {
        let mut delivered = Vec::new();
        while delivered.len() < published.len() {
            // Drops it at its first wait, every other time.
            let next = tokio::select! {
                biased;
                next = deliveries.next() => next,
                () = tokio::task::yield_now() => continue,
            };
            let next = next.unwrap();
            deliveries.settle(next.tag).await.unwrap();
            delivered.push(next.event.unwrap());
        }
        delivered
    });
    assert_eq!(delivered.await, published);
    confirmed(publishing).await;
}

/// A batch whose outcome is unknown is published again: duplicates, and nothing lost or out of order.
pub async fn a_dropped_publish_can_be_repeated(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order"])).await;
    let published = events(&[aggregate("order", 1), aggregate("order", 2)], 1, 40);
    let bus = broker.bus().await;
    let mut delivered = Vec::new();
    for polls in 0..4 {
        let mut publisher = bus.publisher().await.unwrap();
        let mut publishing = publisher.publish(&published);
        for _ in 0..polls {
            tokio::select! {
                biased;
                published = &mut publishing => {
                    published.unwrap();
                    break;
                }
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    }
    let publishing = publish(broker, published.clone()).await;
    while !publishing.is_finished() {
        if let Ok(next) = timeout(SILENCE, deliveries.next()).await {
            let next = next.unwrap();
            deliveries.settle(next.tag).await.unwrap();
            delivered.push(next.event.unwrap());
        }
    }
    confirmed(publishing).await;
    while let Ok(next) = timeout(SILENCE, deliveries.next()).await {
        let next = next.unwrap();
        deliveries.settle(next.tag).await.unwrap();
        delivered.push(next.event.unwrap());
    }
    assert_ordered(&delivered, &published);
}

/// Payloads up to [`MAX_DATA`] arrive.
pub async fn the_largest_payload_arrives(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order"])).await;
    let data: Vec<_> = (0..=u8::MAX).cycle().take(MAX_DATA).collect();
    let largest = Event { data: data.into(), ..event(&aggregate("order", 1), 1) };
    let publishing = publish(broker, vec![largest.clone()]).await;
    assert_eq!(consume(&mut *deliveries, 1).await, [largest]);
    confirmed(publishing).await;
}

/// The error counts the events before the refused one, and a new publisher works.
pub async fn an_event_that_is_too_large_is_refused_alone(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order"])).await;
    let order = [aggregate("order", 1), aggregate("order", 2)];
    let mut batch = events(&order, 1, 2);
    batch[2].data = vec![0; MAX_DATA + 1].into();
    let publishing = publish(broker, batch.clone()).await;
    assert_eq!(consume(&mut *deliveries, 2).await, batch[..2]);
    is_refused(publishing, 2).await;
    let publishing = publish(broker, vec![event(&order[1], 2)]).await;
    assert_eq!(consume(&mut *deliveries, 1).await[0].aggregate, order[1]);
    confirmed(publishing).await;
}

async fn is_refused(publishing: JoinHandle<Result<(), PublishError>>, after: usize) {
    let error = soon("refusal", publishing).await.unwrap().unwrap_err();
    assert_eq!(error.confirmed, after, "{error}");
    assert!(matches!(error.cause, PublishFailure::Refused(_)), "{error:?}");
}

/// An event that no queue takes is refused, and taken once there is one.
pub async fn an_event_without_a_queue_is_refused(broker: &dyn Broker) {
    let mut orders = subscribe(broker, &service("orders", &["order"])).await;
    let (order, stock) = (aggregate("order", 1), aggregate("stock", 1));
    let batch = vec![event(&order, 1), event(&stock, 1)];
    let publishing = publish(broker, batch.clone()).await;
    consume(&mut *orders, 1).await;
    is_refused(publishing, 1).await;
    let mut stocks = subscribe(broker, &service("stocks", &["stock"])).await;
    let publishing = publish(broker, batch[1..].to_vec()).await;
    assert_eq!(consume(&mut *stocks, 1).await, batch[1..]);
    confirmed(publishing).await;
}

/// An unreadable message says why, and settling it puts it where an operator finds it. Later messages go on.
pub async fn an_unreadable_message_is_put_aside(broker: &dyn Broker) {
    let mut deliveries = subscribe(broker, &service("reader", &["order"])).await;
    broker.publish_unreadable("order").await;
    let order = [aggregate("order", 1)];
    let publishing = publish(broker, events(&order, 1, 2)).await;
    let mut consumed = Vec::new();
    let mut reasons = Vec::new();
    while consumed.len() < 2 || reasons.is_empty() {
        let delivery = soon("delivery", deliveries.next()).await.unwrap();
        match delivery.event {
            Ok(event) => consumed.push(event),
            Err(reason) => reasons.push(reason),
        }
        deliveries.settle(delivery.tag).await.unwrap();
    }
    confirmed(publishing).await;
    assert_eq!(consumed, events(&order, 1, 2));
    assert!(reasons.len() == 1 && reasons[0].contains("header"), "{reasons:?}");
    let found = async {
        while broker.unreadable().await != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("unreadable message", found).await;
}
