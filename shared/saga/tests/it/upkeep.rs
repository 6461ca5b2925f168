//! The engine counts open sagas and deletes old ones.

use std::{sync::Arc, time::Duration};

use gantry_saga::{Engine, NewSaga, Policy, Status, memory::MemoryLog};
use gantry_telemetry::Metrics;
use uuid::Uuid;

use crate::world::{Fate, Kind, SAGA, World, context, definition, ended, policy, saga};

const HOUR: Duration = Duration::from_secs(60 * 60);
/// Longer than the intervals of counting and of deleting.
const INTERVALS: Duration = Duration::from_secs(11 * 60);

/// Starts an engine that keeps ended sagas for an hour.
fn start(world: &World, log: &MemoryLog) -> Engine {
    let policy = Policy { keep_ended: HOUR, ..policy() };
    Engine::builder(Arc::new(log.clone()), policy).definition(definition(world)).unwrap().start()
}

#[tokio::test(start_paused = true)]
async fn ended_sagas_are_deleted_after_their_time() {
    for refused in [false, true] {
        let (world, log) = (World::default(), MemoryLog::default());
        if refused {
            world.script(Kind::Run, "a", [Fate::Refused]);
        }
        log.begin(saga());
        let engine = start(&world, &log);
        ended(&log).await;
        tokio::time::sleep(HOUR - INTERVALS).await;
        assert!(log.status(SAGA).is_some());
        tokio::time::sleep(INTERVALS * 2).await;
        assert_eq!(log.status(SAGA), None);
        engine.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_is_never_deleted() {
    let (world, log) = (World::default(), MemoryLog::default());
    world.script(Kind::Run, "last", [Fate::Refused]);
    log.begin(saga());
    let engine = start(&world, &log);
    assert_eq!(ended(&log).await, Status::Stuck);
    tokio::time::sleep(6 * HOUR).await;
    assert_eq!(log.status(SAGA), Some(Status::Stuck));
    engine.close().await;
}

/// Returns the value of a series of the test's saga.
fn value(metrics: &Metrics, name: &str, state: &str) -> Option<u64> {
    let labels = format!("gantry_saga=\"test\",gantry_service=\"shop\",gantry_state=\"{state}\"");
    let series = format!("{name}{{{labels}}} ");
    let text = metrics.text();
    text.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
}

#[tokio::test(start_paused = true)]
async fn open_sagas_and_outcomes_are_measured() {
    let metrics = Metrics::new("test").unwrap();
    let (world, log) = (World::default(), MemoryLog::default());
    world.script(Kind::Run, "last", [Fate::Refused]);
    let engine = Engine::builder(Arc::new(log.clone()), policy());
    let engine = engine.measured(&metrics.meter(), "shop").definition(definition(&world)).unwrap();
    let engine = engine.start();
    let open = |state| value(&metrics, "gantry_sagas_open", state);
    let outcomes = |state| value(&metrics, "gantry_sagas_outcomes_total", state);
    assert_eq!((open("running"), open("stuck")), (Some(0), Some(0)));
    assert_eq!((outcomes("completed"), outcomes("undone")), (Some(0), Some(0)));

    log.begin(saga());
    assert_eq!(ended(&log).await, Status::Stuck);
    // Driven by no replica, and counted nevertheless.
    log.begin(NewSaga::new(Uuid::from_u128(1), "other", &"input", context()).unwrap());
    tokio::time::sleep(INTERVALS).await;
    assert_eq!((open("running"), open("stuck"), outcomes("stuck")), (Some(0), Some(1), Some(1)));
    assert!(metrics.text().contains("gantry_saga=\"other\""), "{}", metrics.text());

    engine.operator().force(SAGA, "op", "by hand").await.unwrap();
    tokio::time::sleep(INTERVALS).await;
    assert_eq!((open("stuck"), outcomes("completed")), (Some(0), Some(1)));
    engine.close().await;
}
