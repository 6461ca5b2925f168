//! Leases: only one replica drives a saga.

use std::{sync::Arc, time::Duration};

use gantry_saga::{
    Append, Entry, Log, LogError, NewSaga, Status, memory::MemoryLog, testing::CrashingLog,
};
use uuid::Uuid;

use crate::world::{Fate, Kind, SAGA, World, check, context, ended, policy, saga, start};

const LEASE: Duration = Duration::from_secs(10);

fn append(epoch: i64, position: usize, entry: &Entry) -> Append<'_> {
    let entries = std::slice::from_ref(entry);
    Append { saga: SAGA, epoch, position, entries, status: Status::Running, lease: LEASE }
}

#[tokio::test(start_paused = true)]
async fn a_stale_epoch_is_refused() {
    let log = MemoryLog::default();
    log.begin(saga());
    let first = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    assert!(log.claim(&["test"], 9, LEASE).await.unwrap().is_empty(), "claimed while leased");
    tokio::time::sleep(LEASE).await;
    let second = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    assert!(second.epoch > first.epoch);

    let entry = Entry::Started { step: "a".to_owned() };
    let refused = log.append(append(first.epoch, 0, &entry)).await;
    assert!(matches!(refused, Err(LogError::Stale)));
    let refused = log.release(SAGA, first.epoch, Duration::ZERO).await;
    assert!(matches!(refused, Err(LogError::Stale)));
    assert_eq!(log.entries(SAGA), []);
    log.append(append(second.epoch, 0, &entry)).await.unwrap();
    assert_eq!(log.entries(SAGA), [entry]);
}

#[tokio::test(start_paused = true)]
async fn a_write_renews_the_lease() {
    let log = MemoryLog::default();
    log.begin(saga());
    let held = log.claim(&["test"], 9, LEASE).await.unwrap().remove(0);
    let entry = Entry::Started { step: "a".to_owned() };
    for position in 0..5 {
        tokio::time::sleep(LEASE * 9 / 10).await;
        assert!(log.claim(&["test"], 9, LEASE).await.unwrap().is_empty());
        log.append(append(held.epoch, position, &entry)).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn two_replicas_drive_a_saga_once() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    let engines = [start(&world, log.clone()), start(&world, log.clone())];
    let status = ended(&log).await;
    for engine in engines {
        engine.close().await;
    }
    assert_eq!(status, Status::Completed);
    check(&world, status, &log);
    assert_eq!(world.calls().len(), 5, "each step was called once");
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_lost_its_lease_writes_no_more() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    // The first replica hangs in an attempt, and another one claims the saga.
    world.script(Kind::Run, "a", [Fate::HungBefore]);
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let held = log.entries(SAGA);
    assert_eq!(held.len(), 1);
    let second = {
        // Releasing the first replica's lease has the same effect as its expiry.
        log.release(SAGA, 1, Duration::ZERO).await.unwrap();
        log.claim(&["test"], 1, Duration::from_secs(3600)).await.unwrap().remove(0)
    };
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(log.entries(SAGA), held);
    log.release(SAGA, second.epoch, Duration::ZERO).await.unwrap();
    assert_eq!(ended(&log).await, Status::Completed);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_killed_replicas_saga_is_finished_when_its_lease_ends() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    // The first replica dies at the append that ends step b; the second one has looked before.
    let killed = start(&world, CrashingLog::new(log.clone(), 3, false));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let other = start(&world, log.clone());
    let lease = log.claim(&["test"], 1, LEASE).await.unwrap();
    assert!(lease.is_empty(), "the killed replica's lease holds");
    let calls = world.calls().len();
    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!(world.calls().len(), calls, "nobody drives it until the lease ends");
    // The lease is 2 x (5 s + 2 s) + 5 s; the other replica polls every second.
    tokio::time::sleep(Duration::from_secs(2) + policy().poll).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    check(&world, Status::Completed, &log);
    killed.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_engine_does_not_drive_sagas_of_other_names() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(NewSaga::new(Uuid::from_u128(1), "other", &"input", context()).unwrap());
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_secs(60)).await;
    engine.close().await;
    assert_eq!(world.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_the_oldest_sagas_up_to_its_limit() {
    let log = MemoryLog::default();
    for id in 0..10 {
        log.begin(NewSaga::new(Uuid::from_u128(id), "test", &"input", context()).unwrap());
    }
    let claimed = log.claim(&["test"], 3, LEASE).await.unwrap();
    let ids: Vec<_> = claimed.iter().map(|saga| saga.id.as_u128()).collect();
    assert_eq!(ids, [0, 1, 2], "the oldest first");
}

#[tokio::test(start_paused = true)]
async fn a_log_that_does_not_match_stops_only_its_saga() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    let held = log.claim(&["test"], 1, LEASE).await.unwrap().remove(0);
    let entry = Entry::Started { step: "renamed".to_owned() };
    log.append(append(held.epoch, 0, &entry)).await.unwrap();
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(log.entries(SAGA), [entry]);
    assert_eq!(log.status(SAGA), Some(Status::Running));
    assert_eq!(world.calls(), []);
    engine.close().await;
}

#[test]
fn the_log_is_a_trait_object() {
    let log: Arc<dyn Log> = Arc::new(MemoryLog::default());
    drop((log, policy()));
}
