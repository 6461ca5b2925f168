//! A broker that dies, stalls, or has no memory left.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gantry_events::{Bus, Event, PublishFailure, Subscription};
use gantry_events_rabbitmq::RabbitMq;
use gantry_rabbitmq_broker::Broker;
use tokio::{
    sync::{Mutex, MutexGuard},
    task::spawn_blocking,
    time::sleep,
};

use crate::support::{Place, bus, event, orders, placed, publish, receive, soon, unavailable};

/// Limit of the rough broker, in bytes.
const MAX_SIZE: usize = 100_000;

/// Returns a broker that one test at a time may ill-treat.
async fn rough() -> MutexGuard<'static, Broker> {
    static BROKER: OnceLock<Mutex<Broker>> = OnceLock::new();
    let start = || Mutex::new(Broker::start_with(&format!("max_message_size = {MAX_SIZE}\n")));
    let broker = spawn_blocking(move || BROKER.get_or_init(start)).await.unwrap();
    broker.lock().await
}

/// Publishes as a relay does: the next batch begins at the first event without a confirm. Returns the
/// number of failed batches.
async fn relay(bus: &RabbitMq, events: &[Event]) -> usize {
    let mut failures = 0;
    let mut done = 0;
    while done < events.len() {
        let Ok(mut publisher) = bus.publisher().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        while done < events.len() {
            let end = events.len().min(done + 100);
            match publisher.publish(&events[done..end]).await {
                Ok(()) => done = end,
                Err(error) => {
                    failures += 1;
                    done += error.confirmed;
                    break;
                }
            }
        }
    }
    failures
}

/// Consumes until every event was seen. Returns the sequences of each aggregate in the order of their
/// first delivery, and the number of duplicates.
async fn consume(
    bus: &RabbitMq,
    subscription: &Subscription,
    count: usize,
    seen: &AtomicUsize,
) -> (BTreeMap<String, Vec<i64>>, usize) {
    let mut first: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    let mut duplicates = 0;
    loop {
        let Ok(mut deliveries) = bus.subscribe(subscription).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        while let Ok(delivery) = deliveries.next().await {
            let event = delivery.event.unwrap();
            let sequences = first.entry(event.aggregate.to_string()).or_default();
            if sequences.contains(&event.sequence) {
                duplicates += 1;
            } else {
                sequences.push(event.sequence);
                seen.fetch_add(1, Ordering::Relaxed);
            }
            if deliveries.settle(delivery.tag).await.is_err() {
                break;
            }
            if seen.load(Ordering::Relaxed) == count {
                deliveries.close().await;
                return (first, duplicates);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_loses_no_event_and_keeps_the_order() {
    const AGGREGATES: u128 = 7;
    const SEQUENCES: i64 = 1000;
    let broker = rough().await;
    let place = Place::on(&broker).await;
    let bus = Arc::new(place.bus());
    let user = orders("user");
    soon(bus.subscribe(&user)).await.unwrap().close().await;
    let events: Arc<[_]> = (1..=SEQUENCES)
        .flat_map(|sequence| (0..AGGREGATES).map(move |id| event("order.placed", id, sequence)))
        .collect();
    let count = events.len();
    let seen = AtomicUsize::new(0);
    let kill = async {
        for share in 1..=2 {
            // Under load, so that batches are under way.
            while seen.load(Ordering::Relaxed) < count * share / 4 {
                sleep(Duration::from_millis(1)).await;
            }
            broker.kill();
            broker.start_again();
        }
    };
    let run =
        async { tokio::join!(relay(&bus, &events), consume(&bus, &user, count, &seen), kill) };
    let (failures, (first, duplicates), ()) = soon(run).await;
    println!("{count} events, {failures} failed batches, {duplicates} duplicates");
    assert!(failures >= 1, "the broker was not killed in a batch");
    assert_eq!(first.len() as u128, AGGREGATES);
    for (aggregate, sequences) in first {
        assert_eq!(sequences, (1..=SEQUENCES).collect::<Vec<_>>(), "{aggregate}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_holds_publishers_and_no_consumer() {
    let broker = rough().await;
    let place = Place::on(&broker).await;
    let bus = place.bus();
    let mut narrow = orders("user");
    // Deliveries go on only if acknowledgements arrive.
    narrow.prefetch = 5.try_into().unwrap();
    let mut deliveries = soon(bus.subscribe(&narrow)).await.unwrap();
    let events = placed(60);
    publish(&bus, &events[..50]).await.unwrap();
    let mut publisher = soon(bus.publisher()).await.unwrap();

    broker.alarm_memory(true);
    let late = events[50..].to_vec();
    let publishing = tokio::spawn(async move { publisher.publish(&late).await });
    assert_eq!(receive(&mut *deliveries, 50).await, events[..50]);
    assert!(!publishing.is_finished(), "the alarm does not hold the publisher");

    broker.alarm_memory(false);
    soon(publishing).await.unwrap().unwrap();
    assert_eq!(receive(&mut *deliveries, 10).await, events[50..]);
}

#[tokio::test]
async fn an_event_above_the_brokers_limit_is_refused() {
    let broker = rough().await;
    let place = Place::on(&broker).await;
    let bus = place.bus();
    let mut deliveries = soon(bus.subscribe(&orders("user"))).await.unwrap();
    let mut events = placed(4);
    events[2].data = vec![0; MAX_SIZE + 1].into();
    // The limit is known from the first refusal on, which blames nobody for certain.
    let mut done = 0;
    let why = loop {
        let error = publish(&bus, &events[done..]).await.unwrap_err();
        done += error.confirmed;
        match error.cause {
            PublishFailure::Refused(why) => break why,
            PublishFailure::Bus(_) => {}
        }
    };
    assert_eq!(done, 2);
    assert!(why.contains("more than the 100000 of the broker's max_message_size"), "{why}");
    assert_eq!(receive(&mut *deliveries, 1).await, events[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_broker_is_given_up() {
    let broker = rough().await;
    let place = Place::on(&broker).await;
    let settings = place.settings();
    let established = bus(&settings.clone().heartbeat(Duration::from_secs(1)));
    let mut deliveries = soon(established.subscribe(&orders("user"))).await.unwrap();
    broker.pause();
    let silent = bus(&settings.connect_timeout(Duration::from_millis(200)));
    let opened = silent.publisher().await;
    let lost = soon(deliveries.next()).await;
    broker.resume();
    let why = unavailable(opened);
    assert!(why.contains("does not answer within 200ms"), "{why}");
    let why = unavailable(lost);
    assert!(why.contains("deliver from the queue \"user\""), "{why}");
}
