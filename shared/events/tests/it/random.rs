//! Invariants under random faults, stops and crashes of everything.

use std::time::Duration;

use gantry_events::{
    Outbox,
    testing::{Fault, MemoryInbox},
};
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use crate::world::{Running, World, orders};

const ORDERS: u128 = 5;
const EVENTS: usize = 12;

/// Act at one moment.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(usize),
    WriteElsewhere(usize),
    StopRelay(usize),
    KillRelay(usize),
    StopConsumer(usize),
    KillConsumer(usize),
    StealLease(u64),
    Republish(usize, i64),
}

fn act() -> impl Strategy<Value = Act> {
    let order = 0..ORDERS as usize;
    let process = 0..2_usize;
    prop_oneof![
        6 => order.clone().prop_map(Act::Write),
        4 => order.clone().prop_map(Act::WriteElsewhere),
        1 => process.clone().prop_map(Act::StopRelay),
        1 => process.clone().prop_map(Act::KillRelay),
        1 => process.clone().prop_map(Act::StopConsumer),
        1 => process.prop_map(Act::KillConsumer),
        1 => (0..30_u64).prop_map(Act::StealLease),
        1 => (order, 1..10_i64).prop_map(|(order, from)| Act::Republish(order, from)),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        8 => Just(Fault::None),
        1 => Just(Fault::Before),
        1 => Just(Fault::After),
        1 => (0..8_usize).prop_map(Fault::Confirmed),
        1 => (0..8_usize).prop_map(Fault::Refused),
    ]
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    proptest::collection::vec(fault(), 0..60)
}

/// Processes of one service, of which each is started again after it has ended.
struct Fleet {
    start: fn(&World) -> Running,
    processes: Vec<Running>,
}

impl Fleet {
    fn start(world: &World, start: fn(&World) -> Running) -> Self {
        Self { start, processes: vec![start(world), start(world)] }
    }

    async fn restart(&mut self, world: &World, number: usize, crash: bool) {
        let ended = self.processes.swap_remove(number);
        if crash {
            ended.kill().await;
        } else {
            ended.stop().await;
        }
        self.processes.push((self.start)(world));
    }
}

async fn perform(world: &World, relays: &mut Fleet, consumers: &mut Fleet, act: Act) {
    let orders = orders(ORDERS);
    match act {
        Act::Write(order) => world.outbox.write(&orders[order]),
        Act::WriteElsewhere(order) => world.outbox.write_elsewhere(&orders[order]),
        Act::StopRelay(number) => relays.restart(world, number, false).await,
        Act::KillRelay(number) => relays.restart(world, number, true).await,
        Act::StopConsumer(number) => consumers.restart(world, number, false).await,
        Act::KillConsumer(number) => consumers.restart(world, number, true).await,
        Act::StealLease(seconds) => {
            world.outbox.steal_lease(uuid::Uuid::nil(), Duration::from_secs(seconds));
        }
        Act::Republish(order, from) => {
            // A fault of the script may hit it: then nothing is republished.
            let _ = world.outbox.republish(&orders[order], from).await;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 50, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_takes_effect_once_and_in_order(
        acts in proptest::collection::vec((act(), 0..200_u64), 10..60),
        scripts in (faults(), faults(), faults(), faults(), faults()),
        poison in proptest::option::of((0..ORDERS as usize, 1..EVENTS as i64)),
        pace in 0..20_u64,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let pace = Duration::from_millis(pace);
            let world = World { inbox: MemoryInbox::with_pace(pace), ..World::new() };
            let orders = orders(ORDERS);
            let (opening, publishing, consuming, outbox, inbox) = scripts;
            world.bus.opening.add(opening);
            world.bus.publishing.add(publishing);
            world.bus.consuming.add(consuming);
            world.outbox.faults.add(outbox);
            world.inbox.faults.add(inbox);
            if let Some((order, sequence)) = poison {
                world.inbox.poison(&orders[order], sequence);
            }
            let mut relays = Fleet::start(&world, World::relay);
            let mut consumers = Fleet::start(&world, World::consumer);
            for (act, millis) in acts {
                perform(&world, &mut relays, &mut consumers, act).await;
                sleep(Duration::from_millis(millis)).await;
            }
            let events = world.outbox.events();
            // For each order, the number of events, and that of those before the poison.
            let expected: Vec<_> = orders
                .iter()
                .enumerate()
                .map(|(number, order)| {
                    let written = events.iter().filter(|event| event.aggregate == *order).count();
                    let written = i64::try_from(written).unwrap();
                    let good = match poison {
                        Some((order, sequence)) if order == number => (sequence - 1).min(written),
                        _ => written,
                    };
                    (written, good)
                })
                .collect();
            let is_settled = || {
                orders.iter().zip(&expected).all(|(order, (written, good))| {
                    let mut parked = world.inbox.parked(order);
                    parked.sort_unstable();
                    let effects = world.inbox.effects_of(order).len();
                    i64::try_from(effects) == Ok(*good)
                        && parked == (good + 1..=*written).collect::<Vec<_>>()
                })
            };
            let began = Instant::now();
            while world.outbox.waiting() > 0 || !is_settled() {
                let state = || (world.outbox.waiting(), world.inbox.effects(), world.inbox.held());
                prop_assert!(began.elapsed() < Duration::from_secs(3600), "{:?}", state());
                sleep(Duration::from_millis(500)).await;
            }
            world.check();
            for process in relays.processes.into_iter().chain(consumers.processes) {
                process.stop().await;
            }
            // Nothing came twice meanwhile.
            world.check();
            prop_assert_eq!(world.inbox.held(), 0);
            Ok(())
        })?;
    }
}
