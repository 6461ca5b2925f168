//! Outcomes of a saga for each kind of failure at each step.

use gantry_saga::Status;

use crate::world::{Fate, Kind, PIVOT, STEPS, World, carry, check};

#[tokio::test(start_paused = true)]
async fn every_step_succeeds() {
    let world = World::default();
    let (status, log) = carry(&world).await;
    assert_eq!(status, Status::Completed);
    check(&world, status, &log);
    let calls: Vec<_> = world.calls().into_iter().map(|(kind, step, _)| (kind, step)).collect();
    assert_eq!(calls, STEPS.map(|step| (Kind::Run, step)));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_undoes_the_finished_steps_in_reverse() {
    for (refused, step) in STEPS.into_iter().enumerate().take(PIVOT + 1) {
        let world = World::default();
        world.script(Kind::Run, step, [Fate::Refused]);
        let (status, log) = carry(&world).await;
        assert_eq!(status, Status::Undone);
        check(&world, status, &log);
        let undone: Vec<_> = world
            .calls()
            .into_iter()
            .filter_map(|(kind, step, _)| (kind == Kind::Undo).then_some(step))
            .collect();
        let expected: Vec<_> = STEPS[..refused].iter().rev().copied().collect();
        assert_eq!(undone, expected, "{step} was refused");
    }
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_is_repaired_by_a_retry() {
    for step in STEPS {
        for fate in [Fate::LostBefore, Fate::LostAfter, Fate::HungBefore, Fate::HungAfter] {
            let world = World::default();
            world.script(Kind::Run, step, [fate]);
            let (status, log) = carry(&world).await;
            assert_eq!(status, Status::Completed, "{step} {fate:?}");
            check(&world, status, &log);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_step_before_the_pivot_is_undone_too() {
    for step in &STEPS[..PIVOT] {
        for fate in [Fate::LostBefore, Fate::LostAfter, Fate::HungBefore, Fate::HungAfter] {
            let world = World::default();
            world.script(Kind::Run, step, [fate; 100]);
            let (status, log) = carry(&world).await;
            assert_eq!(status, Status::Undone, "{step} {fate:?}");
            check(&world, status, &log);
            assert!(world.effect(step).undone, "{step} may have happened");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn from_the_pivot_on_rounds_repeat_until_an_answer() {
    for step in &STEPS[PIVOT..] {
        let world = World::default();
        world.script(Kind::Run, step, [Fate::LostAfter; 30]);
        let (status, log) = carry(&world).await;
        assert_eq!(status, Status::Completed, "{step}");
        check(&world, status, &log);
    }
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_repeated_until_it_is_answered() {
    for step in &STEPS[..PIVOT] {
        for fate in [Fate::LostBefore, Fate::LostAfter, Fate::HungAfter] {
            let world = World::default();
            world.script(Kind::Run, "pivot", [Fate::Refused]);
            world.script(Kind::Undo, step, [fate; 8]);
            let (status, log) = carry(&world).await;
            assert_eq!(status, Status::Undone, "{step} {fate:?}");
            check(&world, status, &log);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_undo_parks_the_saga_with_the_others_undone() {
    let world = World::default();
    world.script(Kind::Run, "pivot", [Fate::Refused]);
    world.script(Kind::Undo, "b", [Fate::LostBefore; 1000]);
    let (status, log) = carry(&world).await;
    assert_eq!(status, Status::Stuck);
    check(&world, status, &log);
    assert_eq!(world.done(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_undo_parks_the_saga_at_once() {
    let world = World::default();
    world.script(Kind::Run, "pivot", [Fate::Refused]);
    world.script(Kind::Undo, "b", [Fate::Refused]);
    let (status, log) = carry(&world).await;
    assert_eq!(status, Status::Stuck);
    check(&world, status, &log);
    assert_eq!(world.done(), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_the_pivot_parks_the_saga() {
    let world = World::default();
    world.script(Kind::Run, "last", [Fate::Refused]);
    let (status, log) = carry(&world).await;
    assert_eq!(status, Status::Stuck);
    check(&world, status, &log);
    assert_eq!(world.done(), &STEPS[..=PIVOT]);
}
