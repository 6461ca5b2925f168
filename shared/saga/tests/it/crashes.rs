//! Crashes at every log write, before or after it is durable, twice in a row. Another process
//! continues the saga.

use gantry_saga::{Engine, Status, memory::MemoryLog, testing::CrashingLog};

use crate::world::{Fate, Kind, PIVOT, SAGA, STEPS, World, check, ended, saga, start};

/// Runs the saga in a process that dies at the given write. Returns false if the saga ends before.
async fn crash(world: &World, log: &MemoryLog, writes: usize, written: bool) -> bool {
    let crashing = CrashingLog::new(log.clone(), writes, written);
    let engine: Engine = start(world, crashing.clone());
    loop {
        let ended = log.status(SAGA) != Some(Status::Running);
        if crashing.crashed() || ended {
            engine.close().await;
            return crashing.crashed();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// Crashes at every pair of writes; `world` makes the world of one trial.
async fn crash_everywhere(expected: Status, world: impl Fn() -> World) -> usize {
    let mut trials = 0;
    for written in [false, true] {
        for first in 1.. {
            let mut reached = false;
            for second in 1..=8 {
                let (world, log) = (world(), MemoryLog::default());
                log.begin(saga());
                reached = crash(&world, &log, first, written).await;
                let again = reached && crash(&world, &log, second, !written).await;
                let engine = start(&world, log.clone());
                let status = ended(&log).await;
                engine.close().await;
                assert_eq!(status, expected, "crashed at {first}, {second}: {written}");
                check(&world, status, &log);
                trials += 1;
                if !again {
                    break;
                }
            }
            if !reached {
                break;
            }
        }
    }
    trials
}

#[tokio::test(start_paused = true)]
async fn a_saga_completes_after_any_two_crashes() {
    let trials = crash_everywhere(Status::Completed, World::default).await;
    // Six writes: fewer trials would mean that the crashes did not happen.
    assert!(trials > 50, "{trials}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_saga_is_undone_after_any_two_crashes() {
    for step in &STEPS[..=PIVOT] {
        crash_everywhere(Status::Undone, || {
            let world = World::default();
            // Every attempt is refused, in each process.
            world.script(Kind::Run, step, [Fate::Refused; 10]);
            world
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unanswered_saga_is_undone_after_any_two_crashes() {
    for step in &STEPS[..PIVOT] {
        crash_everywhere(Status::Undone, || {
            let world = World::default();
            world.script(Kind::Run, step, [Fate::LostAfter; 1000]);
            world
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_and_a_late_original_leave_nothing_behind() {
    // The effect of the first attempt arrives after everything was undone.
    let world = World::default();
    let late = std::time::Duration::from_secs(3600);
    world.script(Kind::Run, "b", [Fate::Late(late), Fate::Refused]);
    let log = MemoryLog::default();
    log.begin(saga());
    crash(&world, &log, 3, false).await;
    let engine = start(&world, log.clone());
    assert_eq!(ended(&log).await, Status::Undone);
    tokio::time::sleep(late * 2).await;
    engine.close().await;
    check(&world, Status::Undone, &log);
}
