//! Consumer: lanes, retries, parking, reconnects and stops.

use std::{
    num::{NonZeroU16, NonZeroU32},
    time::Duration,
};

use gantry_events::{
    Bus, ConsumerSettings,
    memory::MemoryBus,
    testing::{Fault, FaultyBus, MemoryInbox, event, events},
};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{Running, World, consumer_settings, orders, until};

const SECOND: Duration = Duration::from_secs(1);

async fn started(world: &World, settings: ConsumerSettings) -> Running {
    let before = world.inbox.subscriptions();
    let consumer = world.consumer_with(settings);
    until("subscription", || world.inbox.subscriptions() > before).await;
    consumer
}

/// Publishes events in a task of its own, without a relay.
async fn publish(world: &World, events: Vec<gantry_events::Event>) -> tokio::task::JoinHandle<()> {
    let mut publisher = world.bus.publisher().await.unwrap();
    tokio::spawn(async move { publisher.publish(&events).await.unwrap() })
}

#[tokio::test(start_paused = true)]
async fn aggregates_are_handled_at_the_same_time_and_each_in_order() {
    let inbox = MemoryInbox::with_pace(SECOND);
    let world = World { inbox, ..World::new() };
    let lanes = NonZeroU16::new(64).unwrap();
    let _consumer = started(&world, ConsumerSettings { lanes, ..consumer_settings() }).await;
    let began = Instant::now();
    let orders = orders(16);
    let publishing = publish(&world, events(&orders, 1, 5)).await;
    publishing.await.unwrap();
    let took = began.elapsed();
    assert!(took >= 5 * SECOND && took <= 20 * SECOND, "{took:?}, alone it is 80 s");
    for order in &orders {
        assert_eq!(world.inbox.effects_of(order), [1, 2, 3, 4, 5]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_poison_event_parks_its_aggregate_alone() {
    let world = World::new();
    let orders = orders(10);
    world.inbox.poison(&orders[4], 3);
    let _consumer = started(&world, consumer_settings()).await;
    let began = Instant::now();
    let publishing = publish(&world, events(&orders, 1, 6)).await;
    publishing.await.unwrap();
    // 100, 200, 400, 800, 1600, 3200 and 6400 ms between 8 attempts.
    assert_eq!(began.elapsed().as_millis() / 100, 127);
    for (number, order) in orders.iter().enumerate() {
        let (effects, parked) = match number {
            4 => (vec![1, 2], vec![3, 4, 5, 6]),
            _ => ((1..=6).collect(), vec![]),
        };
        assert_eq!((world.inbox.effects_of(order), world.inbox.parked(order)), (effects, parked));
    }
}

#[tokio::test(start_paused = true)]
async fn other_lanes_go_on_while_an_event_fails() {
    let world = World::new();
    let orders = orders(40);
    world.inbox.poison(&orders[0], 1);
    let attempts = NonZeroU32::MAX;
    let consumer = started(&world, ConsumerSettings { attempts, ..consumer_settings() }).await;
    let publishing = publish(&world, events(&orders, 1, 2)).await;
    // Those of the same lane wait, and no others.
    until("other lanes", || world.inbox.effects().len() > 50).await;
    sleep(3600 * SECOND).await;
    assert!(world.inbox.parked(&orders[0]).is_empty());
    assert!(!publishing.is_finished());
    consumer.stop().await;
    publishing.abort();
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_of_the_event() {
    let world = World::new();
    let order = orders(1);
    world.inbox.panic_once(&order[0], 2);
    let _consumer = started(&world, consumer_settings()).await;
    publish(&world, events(&order, 1, 4)).await.await.unwrap();
    assert_eq!(world.inbox.effects_of(&order[0]), [1, 2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_storage_parks_nothing() {
    let world = World::new();
    let order = orders(1);
    let consumer = started(&world, consumer_settings()).await;
    world.inbox.faults.add([Fault::Before; 500]);
    let publishing = publish(&world, events(&order, 1, 3)).await;
    sleep(3600 * SECOND).await;
    assert_eq!(world.inbox.parked(&order[0]), [] as [i64; 0]);
    sleep(3600 * SECOND).await;
    publishing.await.unwrap();
    assert_eq!(world.inbox.effects_of(&order[0]), [1, 2, 3]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn parking_is_repeated_until_the_storage_is_back() {
    let world = World::new();
    let order = orders(1);
    world.inbox.poison(&order[0], 1);
    let _consumer = started(&world, consumer_settings()).await;
    world.inbox.faults.add([Fault::Before, Fault::After, Fault::Before]);
    publish(&world, events(&order, 1, 2)).await.await.unwrap();
    assert_eq!(world.inbox.parked(&order[0]), [1, 2]);
    assert!(world.inbox.faults.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_held_until_it_closes() {
    let world = World::new();
    let order = orders(1);
    let _consumer = started(&world, consumer_settings()).await;
    let late: Vec<_> = [1, 3, 5, 4].map(|sequence| event(&order[0], sequence)).into();
    publish(&world, late).await.await.unwrap();
    assert_eq!((world.inbox.effects_of(&order[0]), world.inbox.held()), (vec![1], 3));
    publish(&world, vec![event(&order[0], 2)]).await.await.unwrap();
    assert_eq!(world.inbox.effects_of(&order[0]), [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_message_does_not_stop_the_others() {
    let inner = MemoryBus::new(100);
    let world = World { bus: FaultyBus::new(inner.clone()), ..World::new() };
    let _consumer = started(&world, consumer_settings()).await;
    let body = bytes::Bytes::from_static(b"no event");
    inner.inject("order", gantry_events::envelope::Message { headers: Vec::new(), body });
    let order = orders(1);
    publish(&world, events(&order, 1, 2)).await.await.unwrap();
    assert_eq!(world.inbox.effects_of(&order[0]), [1, 2]);
    assert_eq!(inner.unreadable().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_subscription_is_opened_again_with_backoff() {
    let world = World::new();
    world.bus.opening.add([Fault::Before; 5]);
    let began = Instant::now();
    let consumer = started(&world, consumer_settings()).await;
    // 100, 200, 400, 800 and 1600 ms.
    assert_eq!(began.elapsed().as_millis() / 100, 31);
    let order = orders(3);
    let publishing = publish(&world, events(&order, 1, 30)).await;
    world.bus.consuming.add([Fault::None, Fault::Before, Fault::None, Fault::After]);
    world.bus.consuming.add([Fault::None; 20]);
    world.bus.consuming.add([Fault::Before, Fault::After]);
    publishing.await.unwrap();
    for order in &order {
        assert_eq!(world.inbox.effects_of(order), (1..=30).collect::<Vec<_>>());
    }
    assert!(world.inbox.subscriptions() > 3);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_settles_what_is_in_hand() {
    let inbox = MemoryInbox::with_pace(SECOND / 10);
    let world = World { inbox, ..World::new() };
    let orders = orders(30);
    let consumer = started(&world, consumer_settings()).await;
    let publishing = publish(&world, events(&orders, 1, 1)).await;
    until("work", || world.inbox.began() > 0).await;
    let began = Instant::now();
    consumer.stop().await;
    assert!(began.elapsed() < 2 * SECOND, "{:?}", began.elapsed());
    let effects = world.inbox.effects().len();
    assert_eq!(effects, world.inbox.began(), "what was begun is finished");
    let _next = started(&world, consumer_settings()).await;
    publishing.await.unwrap();
    assert_eq!(world.inbox.began(), 30, "nothing is handled twice");
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_failing_event() {
    let world = World::new();
    let orders = orders(1);
    world.inbox.faults.add([Fault::Before; 20]);
    let consumer = started(&world, consumer_settings()).await;
    let publishing = publish(&world, events(&orders, 1, 3)).await;
    sleep(30 * SECOND).await;
    let began = Instant::now();
    consumer.stop().await;
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    let _next = started(&world, consumer_settings()).await;
    publishing.await.unwrap();
    assert_eq!(world.inbox.effects_of(&orders[0]), [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_on_a_hanging_handler() {
    let world = World::new();
    let orders = orders(2);
    let consumer = started(&world, consumer_settings()).await;
    world.inbox.shut();
    let publishing = publish(&world, events(&orders, 1, 3)).await;
    until("work", || world.inbox.began() > 0).await;
    let stopped = timeout(11 * SECOND, consumer.stop()).await;
    assert!(stopped.is_ok(), "twice the drain timeout");
    world.inbox.open();
    let _next = started(&world, consumer_settings()).await;
    publishing.await.unwrap();
    for order in &orders {
        assert_eq!(world.inbox.effects_of(order), [1, 2, 3]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_stops_in_every_phase() {
    for millis in 0..40 {
        let inbox = MemoryInbox::with_pace(Duration::from_millis(7));
        let world = World { inbox, ..World::new() };
        let orders = orders(5);
        world.bus.opening.add([Fault::Before]);
        world.inbox.faults.add([Fault::None, Fault::After, Fault::Before, Fault::None]);
        world.inbox.panic_once(&orders[1], 2);
        world.bus.consuming.add([Fault::None; 9]);
        world.bus.consuming.add([Fault::After]);
        world.write(&orders, 10);
        let relay = world.relay();
        let consumer = world.consumer();
        sleep(Duration::from_millis(millis * 20)).await;
        let stopped = timeout(11 * SECOND, consumer.stop()).await;
        assert!(stopped.is_ok(), "after {millis} x 20 ms");
        let consumer = world.consumer();
        world.settled().await;
        consumer.stop().await;
        relay.stop().await;
    }
}
