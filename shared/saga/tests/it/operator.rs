//! An operator lists, shows, resumes, forces and aborts sagas.

use std::time::Duration;

use gantry_saga::{
    AbortError, Engine, Entry, Filter, NewSaga, OperatorError, Status, memory::MemoryLog,
};
use uuid::Uuid;

use crate::world::{Fate, Kind, PIVOT, SAGA, STEPS, World, check, context, ended, saga, start};

const ALL: Filter = Filter { status: None, before: None, limit: 100 };

/// A saga under way in a world that this makes.
async fn running(prepare: impl FnOnce(&World)) -> (World, MemoryLog, Engine) {
    let (world, log) = (World::default(), MemoryLog::default());
    prepare(&world);
    log.begin(saga());
    let engine = start(&world, log.clone());
    tokio::time::sleep(Duration::from_millis(1)).await;
    (world, log, engine)
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_is_resumed_and_completes() {
    let (world, log, engine) =
        running(|world| world.script(Kind::Run, "last", [Fate::Refused])).await;
    assert_eq!(ended(&log).await, Status::Stuck);
    let resumed = engine.operator().resume(SAGA, "op", "callee mended").await.unwrap();
    assert_eq!(resumed.summary.status, Status::Running);
    let expected = Entry::Resumed { by: "op".to_owned(), note: "callee mended".to_owned() };
    assert_eq!(resumed.entries.last().map(|last| &last.entry), Some(&expected));
    assert_eq!(ended(&log).await, Status::Completed);
    engine.close().await;
    check(&world, Status::Completed, &log);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_undo_is_resumed_and_ends() {
    let (world, log, engine) = running(|world| {
        world.script(Kind::Run, "pivot", [Fate::Refused]);
        world.script(Kind::Undo, "b", [Fate::Refused]);
    })
    .await;
    assert_eq!(ended(&log).await, Status::Stuck);
    engine.operator().resume(SAGA, "op", "").await.unwrap();
    assert_eq!(ended(&log).await, Status::Undone);
    engine.close().await;
    check(&world, Status::Undone, &log);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_is_forced_past_its_step_and_completes() {
    let (world, log, engine) =
        running(|world| world.script(Kind::Run, "pivot", [Fate::LostBefore; 1000])).await;
    assert_eq!(ended(&log).await, Status::Stuck);
    let forced = engine.operator().force(SAGA, "op", "sold by hand").await.unwrap();
    let expected = Entry::Forced { by: "op".to_owned(), note: "sold by hand".to_owned() };
    assert_eq!(forced.entries.last().map(|last| &last.entry), Some(&expected));
    assert_eq!(ended(&log).await, Status::Completed);
    engine.close().await;
    assert_eq!(world.done(), ["a", "b", "c", "last"], "the pivot is the operator's");
}

#[tokio::test(start_paused = true)]
async fn a_stuck_undo_is_forced_and_the_others_are_undone() {
    let (world, log, engine) = running(|world| {
        world.script(Kind::Run, "pivot", [Fate::Refused]);
        world.script(Kind::Undo, "b", [Fate::Refused]);
    })
    .await;
    assert_eq!(ended(&log).await, Status::Stuck);
    let operator = engine.operator();
    let refused = operator.abort(SAGA, "op", "").await.unwrap_err();
    assert!(matches!(refused, OperatorError::Abort(AbortError::Undoing)), "{refused}");
    operator.force(SAGA, "op", "undone by hand").await.unwrap();
    assert_eq!(ended(&log).await, Status::Undone);
    engine.close().await;
    assert_eq!(world.done(), ["b"], "its undo is the operator's");
}

#[tokio::test(start_paused = true)]
async fn only_a_stuck_saga_is_resumed_or_forced() {
    let (_world, log, engine) = running(|_| {}).await;
    assert_eq!(ended(&log).await, Status::Completed);
    let operator = engine.operator();
    for refused in [operator.resume(SAGA, "op", "").await, operator.force(SAGA, "op", "").await] {
        assert!(matches!(refused, Err(OperatorError::NotStuck(Status::Completed))), "{refused:?}");
    }
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn an_abort_before_the_pivot_undoes_everything() {
    for step in &STEPS[..PIVOT] {
        for fate in [Fate::HungBefore, Fate::HungAfter, Fate::LostAfter] {
            // Late enough to arrive after its undo.
            let late = Fate::Late(Duration::from_secs(300));
            for fate in [fate, late] {
                let (world, log, engine) =
                    running(|world| world.script(Kind::Run, step, [fate; 100])).await;
                engine.operator().abort(SAGA, "op", "customer called").await.unwrap();
                assert_eq!(ended(&log).await, Status::Undone, "{step} {fate:?}");
                tokio::time::sleep(Duration::from_secs(600)).await;
                engine.close().await;
                check(&world, Status::Undone, &log);
                assert!(world.effect(step).undone, "{step} was under way");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_deposes_the_replica_that_drives() {
    let (world, log) = (World::default(), MemoryLog::default());
    world.script(Kind::Run, "b", [Fate::HungAfter]);
    log.begin(saga());
    let driving = start(&world, log.clone());
    tokio::time::sleep(Duration::from_millis(1)).await;
    let other = start(&world, log.clone());
    other.operator().abort(SAGA, "op", "").await.unwrap();
    // The attempt of the first replica still hangs.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(log.status(SAGA), Some(Status::Undone), "the other replica undid it");
    let entries = log.entries(SAGA);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(log.entries(SAGA), entries, "the deposed replica writes nothing");
    driving.close().await;
    other.close().await;
    check(&world, Status::Undone, &log);
}

#[tokio::test(start_paused = true)]
async fn an_abort_after_the_pivot_is_refused_precisely() {
    for step in &STEPS[PIVOT..] {
        let (world, log, engine) =
            running(|world| world.script(Kind::Run, step, [Fate::HungBefore])).await;
        let refused = engine.operator().abort(SAGA, "op", "").await.unwrap_err();
        let expected = "the pivot pivot was attempted, and from then on the saga only goes forward";
        assert_eq!(refused.to_string(), expected);
        assert_eq!(ended(&log).await, Status::Completed);
        engine.close().await;
        check(&world, Status::Completed, &log);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_saga_is_not_aborted() {
    let (_world, log, engine) = running(|_| {}).await;
    ended(&log).await;
    let refused = engine.operator().abort(SAGA, "op", "").await.unwrap_err();
    let ended = AbortError::Ended(Status::Completed);
    assert!(matches!(&refused, OperatorError::Abort(error) if *error == ended), "{refused:?}");
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn unknown_sagas_and_definitions_are_refused() {
    let (_world, log, engine) = running(|_| {}).await;
    let unknown = Uuid::from_u128(1);
    let operator = engine.operator();
    let refused = operator.show(unknown).await;
    assert!(matches!(refused, Err(OperatorError::NotFound(id)) if id == unknown));
    log.begin(NewSaga::new(unknown, "other", &"input", context()).unwrap());
    let refused = operator.abort(unknown, "op", "").await;
    assert!(matches!(&refused, Err(OperatorError::Unknown(name)) if name == "other"));
    assert_eq!(operator.show(unknown).await.unwrap().entries, []);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn sagas_are_listed_page_by_page() {
    let (_world, log, engine) =
        running(|world| world.script(Kind::Run, "last", [Fate::Refused])).await;
    assert_eq!(ended(&log).await, Status::Stuck);
    for id in [1, 2, 20, 30] {
        log.begin(NewSaga::new(Uuid::from_u128(id), "other", &"input", context()).unwrap());
    }
    let operator = engine.operator();
    let list = async |filter: Filter| {
        let listed = operator.list(&filter).await.unwrap();
        listed.into_iter().map(|saga| saga.id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(list(ALL).await, [30, 20, 7, 2, 1]);
    assert_eq!(list(Filter { limit: 2, ..ALL }).await, [30, 20]);
    let before = Some(Uuid::from_u128(20));
    assert_eq!(list(Filter { before, limit: 2, ..ALL }).await, [7, 2]);
    assert_eq!(list(Filter { status: Some(Status::Stuck), ..ALL }).await, [7]);
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_saga_is_shown_with_its_context_and_history() {
    let (_world, log, engine) = running(|_| {}).await;
    ended(&log).await;
    let shown = engine.operator().show(SAGA).await.unwrap();
    assert_eq!((shown.summary.context, &*shown.input), (context(), "\"input\""));
    let entries: Vec<_> = shown.entries.into_iter().map(|recorded| recorded.entry).collect();
    assert_eq!(entries, log.entries(SAGA));
    engine.close().await;
}
