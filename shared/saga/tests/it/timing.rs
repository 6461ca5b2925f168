//! Timing, in paused time.

use std::time::Duration;

use gantry_saga::{Status, memory::MemoryLog, testing::CrashingLog};
use tokio::time::Instant;

use crate::world::{Fate, Kind, SAGA, World, carry, check, ended, policy, saga, start};

#[tokio::test(start_paused = true)]
async fn a_new_saga_is_driven_when_the_engine_is_woken() {
    let (world, log) = (World::default(), MemoryLog::default());
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    log.begin(saga());
    engine.handle().wake();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_new_saga_is_found_by_polling_without_a_wake() {
    let (world, log) = (World::default(), MemoryLog::default());
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    log.begin(saga());
    tokio::time::sleep(policy().poll).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_saga_is_driven_by_the_engine_of_its_writer() {
    let (own, foreign, log) = (World::default(), World::default(), MemoryLog::default());
    let engine = start(&own, log.clone());
    let other = start(&foreign, log.clone());
    tokio::time::sleep(Duration::from_millis(500)).await;
    log.begin(saga().reserved());
    other.handle().wake();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Running));
    engine.handle().begun(SAGA);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    assert!(foreign.calls().is_empty() && !own.calls().is_empty());
    engine.close().await;
    other.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_reserved_saga_of_a_killed_process_is_driven_by_another() {
    let (world, log) = (World::default(), MemoryLog::default());
    let engine = start(&world, log.clone());
    log.begin(saga().reserved());
    tokio::time::sleep(Duration::from_millis(999)).await;
    assert_eq!(log.status(SAGA), Some(Status::Running));
    tokio::time::sleep(policy().poll + Duration::from_millis(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_step_is_given_up_at_its_deadline() {
    let world = World::default();
    world.script(Kind::Run, "b", [Fate::LostBefore; 1000]);
    let began = Instant::now();
    let (status, _) = carry(&world).await;
    assert_eq!(status, Status::Undone);
    let took = began.elapsed();
    // The wait after the last attempt would end beyond the deadline.
    let deadline = policy().step_deadline;
    assert!(took > deadline - policy().retry_max && took <= deadline, "{took:?}");
    let attempts =
        world.calls().into_iter().filter(|(kind, step, _)| (*kind, *step) == (Kind::Run, "b"));
    // 100, 200, 400, 800, 1600 ms, then 2 s each within 15 s.
    assert_eq!(attempts.count(), 11);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_attempt_ends_at_its_timeout() {
    let world = World::default();
    world.script(Kind::Run, "b", [Fate::HungBefore]);
    let began = Instant::now();
    let (status, _) = carry(&world).await;
    assert_eq!(status, Status::Completed);
    let took = began.elapsed();
    let attempt = policy().attempt_timeout;
    assert!(took >= attempt && took < attempt + Duration::from_millis(200), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn other_sagas_run_while_one_pauses() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    // 12 attempts: one whole round and the first of the next.
    world.script(Kind::Run, "last", [Fate::LostBefore; 12]);
    let engine = start(&world, log.clone());
    tokio::time::sleep(policy().step_deadline + Duration::from_millis(100)).await;
    assert_eq!(log.status(SAGA), Some(Status::Running));
    let status = ended(&log).await;
    engine.close().await;
    assert_eq!(status, Status::Completed);
    check(&world, status, &log);
}

#[tokio::test(start_paused = true)]
async fn closing_waits_only_for_the_attempt_in_flight() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    world.script(Kind::Run, "b", [Fate::HungAfter]);
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    engine.close().await;
    assert!(began.elapsed() <= policy().attempt_timeout);
    assert_eq!(log.status(SAGA), Some(Status::Running));
    let calls = world.calls().len();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.calls().len(), calls);

    // The lease was released, so the next replica does not wait for its end.
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Completed));
    engine.close().await;
    check(&world, Status::Completed, &log);
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_for_a_retry() {
    let (world, log) = (World::default(), MemoryLog::default());
    log.begin(saga());
    world.script(Kind::Run, "b", [Fate::LostBefore; 1000]);
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_secs(4)).await;
    let began = Instant::now();
    engine.close().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_engine_stops_too() {
    let (world, log) = (World::default(), MemoryLog::default());
    drop(start(&world, log.clone()));
    log.begin(saga());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(world.calls(), []);
}

#[tokio::test(start_paused = true)]
async fn a_saga_continues_before_its_lease_ends_after_a_failed_write() {
    for written in [false, true] {
        let (world, log) = (World::default(), MemoryLog::default());
        log.begin(saga());
        let hiccup = CrashingLog::new(log.clone(), 3, written).healing();
        let engine = start(&world, hiccup);
        tokio::time::sleep(policy().pause_initial + policy().poll * 2).await;
        assert_eq!(log.status(SAGA), Some(Status::Completed));
        engine.close().await;
        check(&world, Status::Completed, &log);
    }
}
