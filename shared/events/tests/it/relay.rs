//! Relay: order, repetition instead of loss, blocked aggregates, leases and stops.

use std::{num::NonZeroUsize, time::Duration};

use gantry_events::{
    RelaySettings,
    memory::MemoryBus,
    testing::{Fault, FaultyBus},
};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use crate::world::{Running, World, orders, relay_settings, until};

const SECOND: Duration = Duration::from_secs(1);

/// Starts a consumer, and a relay once the consumer's queue exists.
async fn started() -> (World, Running, Running) {
    let world = World::new();
    let consumer = world.consumer();
    until("subscription", || world.inbox.subscriptions() == 1).await;
    let relay = world.relay();
    (world, relay, consumer)
}

#[tokio::test(start_paused = true)]
async fn an_event_of_this_process_is_published_at_once() {
    let (world, relay, consumer) = started().await;
    sleep(SECOND).await;
    let written = Instant::now();
    world.outbox.write(&orders(1)[0]);
    world.settled().await;
    assert!(written.elapsed() < Duration::from_millis(10), "{:?}", written.elapsed());
    relay.stop().await;
    consumer.stop().await;
    assert_eq!(world.outbox.holder(), None, "the lease is given back");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_process_is_found_by_polling() {
    let (world, _relay, _consumer) = started().await;
    sleep(SECOND).await;
    let reads = world.outbox.reads();
    sleep(10 * SECOND).await;
    let reads = world.outbox.reads() - reads;
    assert!((195..=201).contains(&reads), "every 50 ms: {reads}");
    let written = Instant::now();
    world.outbox.write_elsewhere(&orders(1)[0]);
    world.settled().await;
    assert!(written.elapsed() < 2 * relay_settings().poll, "{:?}", written.elapsed());
}

#[tokio::test(start_paused = true)]
async fn many_events_are_published_in_batches_without_pauses() {
    let (world, _relay, _consumer) = started().await;
    let began = Instant::now();
    world.write(&orders(20), 100);
    world.settled().await;
    assert_eq!(world.inbox.effects().len(), 2000);
    assert_eq!(world.inbox.began(), 2000, "no duplicates");
    assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_the_broker_is_away() {
    let (world, relay, consumer) = started().await;
    relay.stop().await;
    world.bus.opening.add([Fault::Before; 100]);
    world.write(&orders(5), 20);
    let relay = world.relay();
    let reads = world.outbox.reads();
    sleep(60 * SECOND).await;
    assert_eq!(world.outbox.reads(), reads);
    assert_eq!(world.outbox.waiting(), 100);
    // It stops at once, although it waits.
    let stopped = Instant::now();
    relay.stop().await;
    assert!(stopped.elapsed() < Duration::from_millis(10));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn waits_for_the_broker_double_and_begin_anew_after_success() {
    let (world, _relay, _consumer) = started().await;
    until("publisher", || world.outbox.reads() > 0).await;
    for _ in 0..2 {
        world.bus.publishing.add([Fault::Before; 4]);
        let began = Instant::now();
        world.outbox.write(&orders(1)[0]);
        world.settled().await;
        let took = began.elapsed().as_millis();
        // 100, 200, 400 and 800 ms.
        assert!((1500..1600).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_confirmed_front_of_a_failed_batch_is_not_repeated() {
    let (world, _relay, _consumer) = started().await;
    world.bus.publishing.add([Fault::Confirmed(7), Fault::Confirmed(5)]);
    world.write(&orders(4), 5);
    world.settled().await;
    assert_eq!(world.inbox.began(), 20);
}

#[tokio::test(start_paused = true)]
async fn unconfirmed_events_are_repeated() {
    let (world, _relay, _consumer) = started().await;
    world.bus.publishing.add([Fault::After]);
    world.write(&orders(4), 5);
    world.settled().await;
    assert_eq!(world.inbox.began(), 30, "the first half twice");
}

#[tokio::test(start_paused = true)]
async fn a_failed_mark_is_repeated_before_anything_is_published() {
    let (world, relay, _consumer) = started().await;
    relay.stop().await;
    world.write(&orders(2), 5);
    // Lease, read, and three marks.
    let store = [Fault::None, Fault::None, Fault::Before, Fault::After, Fault::Before];
    world.outbox.faults.add(store);
    let _relay = world.relay();
    until("marks", || world.outbox.faults.is_over()).await;
    world.settled().await;
    assert_eq!(world.inbox.began(), 10, "nothing is published twice");
}

#[tokio::test(start_paused = true)]
async fn a_failing_outbox_only_delays() {
    let (world, _relay, _consumer) = started().await;
    world.outbox.faults.add([Fault::Before; 20]);
    world.write(&orders(2), 5);
    world.settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_blocks_its_aggregate_alone() {
    let (world, relay, _consumer) = started().await;
    relay.stop().await;
    let orders = orders(3);
    world.write(&orders, 5);
    // The second event of the batch is the first of the second order.
    world.bus.publishing.add([Fault::Refused(1)]);
    let _relay = world.relay();
    until("the others", || world.inbox.effects().len() == 10).await;
    assert_eq!(world.inbox.effects_of(&orders[1]), [] as [i64; 0]);
    // The script is over: the event passes when it is tried again.
    let began = Instant::now();
    world.settled().await;
    assert!(began.elapsed() <= relay_settings().retry_initial, "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_blocked_aggregate_is_tried_with_backoff_while_others_go_on() {
    let (world, relay, _consumer) = started().await;
    relay.stop().await;
    let orders = orders(2);
    world.write(&orders[..1], 3);
    world.bus.publishing.add([Fault::Refused(0); 5]);
    let _relay = world.relay();
    // Tried again after 100, 300, 700 and 1,500 ms.
    sleep(Duration::from_millis(1700)).await;
    assert!(world.bus.publishing.is_over());
    world.write(&orders[1..], 3);
    until("the other", || world.inbox.effects_of(&orders[1]).len() == 3).await;
    assert_eq!(world.outbox.waiting(), 3, "the blocked ones wait");
    sleep(Duration::from_millis(1500)).await;
    world.settled().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_refused_for_ever_is_never_skipped() {
    let bus = FaultyBus::new(MemoryBus::requiring(10, [], ["order"]));
    let world = World { bus, ..World::new() };
    world.write(&orders(2), 3);
    let relay = world.relay();
    sleep(3600 * SECOND).await;
    assert_eq!(world.outbox.waiting(), 6);
    // Once there is a queue, they pass.
    let _consumer = world.consumer();
    world.settled().await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_makes_one_of_two_relays_work() {
    let (world, first, _consumer) = started().await;
    until("lease", || world.outbox.holder().is_some()).await;
    let holder = world.outbox.holder();
    let second = world.relay();
    for _ in 0..100 {
        world.write(&orders(3), 1);
        sleep(SECOND).await;
        assert_eq!(world.outbox.holder(), holder);
    }
    world.settled().await;
    assert_eq!(world.inbox.began(), 300, "no duplicates");
    // The other one continues: at once after a stop, or when the lease of a killed one ends.
    first.stop().await;
    until("second lease", || world.outbox.holder().is_some_and(|by| Some(by) != holder)).await;
    let killed = Instant::now();
    let third = world.relay();
    second.kill().await;
    world.write(&orders(3), 1);
    world.settled().await;
    assert!(killed.elapsed() <= relay_settings().lease * 4 / 3, "{:?}", killed.elapsed());
    third.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lease_lost_within_a_batch_makes_duplicates_and_no_loss() {
    let (world, first, _consumer) = started().await;
    until("lease", || world.outbox.holder().is_some()).await;
    world.inbox.shut();
    world.write(&orders(3), 4);
    until("batch", || world.inbox.began() > 0).await;
    // Another relay believes that it is alone, for a while.
    let other = Uuid::from_u128(1);
    world.outbox.steal_lease(other, 30 * SECOND);
    sleep(20 * SECOND).await;
    world.inbox.open();
    until("marks", || world.outbox.waiting() == 0).await;
    // The first one has finished its batch, and publishes no other.
    world.write(&orders(3), 1);
    sleep(5 * SECOND).await;
    assert_eq!((world.outbox.waiting(), world.outbox.holder()), (3, Some(other)));
    world.settled().await;
    first.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_relays_at_once_make_duplicates_and_no_loss() {
    let (world, first, _consumer) = started().await;
    // Two outboxes over the same rows, each with a lease of its own: both relays work all the time.
    let rogue = World { outbox: world.outbox.clone(), ..world.clone() };
    world.inbox.shut();
    world.write(&orders(5), 10);
    until("batch", || world.inbox.began() > 0).await;
    world.outbox.steal_lease(Uuid::nil(), Duration::ZERO);
    let second = rogue.relay();
    sleep(SECOND).await;
    world.inbox.open();
    world.settled().await;
    assert!(world.inbox.began() > 50, "both published");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_extended_during_a_long_batch() {
    let (world, relay, _consumer) = started().await;
    world.inbox.shut();
    world.write(&orders(3), 4);
    until("batch", || world.inbox.began() > 0).await;
    let holder = world.outbox.holder();
    for _ in 0..60 {
        sleep(SECOND).await;
        assert!(holder.is_some() && world.outbox.holder() == holder);
    }
    world.inbox.open();
    world.settled().await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn stopping_waits_for_the_batch_in_hand_and_marks_it() {
    let (world, relay, _consumer) = started().await;
    world.inbox.shut();
    world.write(&orders(3), 4);
    until("batch", || world.inbox.began() > 0).await;
    let opens = async {
        sleep(SECOND).await;
        world.inbox.open();
    };
    tokio::join!(relay.stop(), opens);
    assert_eq!(world.outbox.waiting(), 0);
    assert_eq!(world.outbox.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_on_confirms_after_a_time() {
    let (world, relay, _consumer) = started().await;
    world.inbox.shut();
    world.write(&orders(3), 4);
    until("batch", || world.inbox.began() > 0).await;
    let began = Instant::now();
    relay.stop().await;
    assert_eq!(began.elapsed().as_secs(), relay_settings().drain_timeout.as_secs());
    assert_eq!(world.outbox.waiting(), 12);
    assert_eq!(world.outbox.holder(), None);
    // Nothing is lost.
    world.inbox.open();
    let relay = world.relay();
    world.settled().await;
    relay.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_relay_stops_in_every_phase() {
    for millis in 0..40 {
        let (world, relay, _consumer) = started().await;
        world.bus.opening.add([Fault::Before, Fault::None, Fault::Before]);
        world.bus.publishing.add([Fault::Refused(3), Fault::After, Fault::Confirmed(1)]);
        world.outbox.faults.add([Fault::None, Fault::Before, Fault::None, Fault::After]);
        world.write(&orders(4), 10);
        sleep(Duration::from_millis(millis * 20)).await;
        let stopped = timeout(6 * SECOND, relay.stop()).await;
        assert!(stopped.is_ok(), "after {millis} x 20 ms");
        let relay = world.relay();
        world.settled().await;
        relay.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_one_keeps_order_too() {
    let (world, relay, _consumer) = started().await;
    relay.stop().await;
    let window = NonZeroUsize::MIN;
    let relay = world.relay_with(RelaySettings { window, ..relay_settings() });
    world.write(&orders(3), 10);
    world.settled().await;
    relay.stop().await;
}
