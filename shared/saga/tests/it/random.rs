//! Invariants under random outcomes of every attempt and random crashes.

use std::time::Duration;

use gantry_saga::{Status, memory::MemoryLog, testing::CrashingLog};
use proptest::prelude::*;

use crate::world::{Fate, Kind, PIVOT, SAGA, STEPS, World, check, ended, saga, start};

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Done),
        2 => Just(Fate::Refused),
        2 => Just(Fate::LostBefore),
        2 => Just(Fate::LostAfter),
        1 => Just(Fate::HungBefore),
        1 => Just(Fate::HungAfter),
        1 => (0_u64..120).prop_map(|seconds| Fate::Late(Duration::from_secs(seconds))),
    ]
}

/// Outcomes of an undo. Never a refusal: that parks the saga and ends the trial.
fn undo_fate() -> impl Strategy<Value = Fate> {
    fate().prop_map(|fate| if fate == Fate::Refused { Fate::Done } else { fate })
}

fn scripts<S: Strategy<Value = Fate>>(
    fate: S,
    steps: usize,
) -> impl Strategy<Value = Vec<Vec<Fate>>> {
    proptest::collection::vec(proptest::collection::vec(fate, 0..14), steps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_saga_is_completed_undone_or_parked(
        runs in scripts(fate(), STEPS.len()),
        undos in scripts(undo_fate(), PIVOT),
        crashes in proptest::collection::vec((1_usize..30, any::<bool>()), 0..4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (world, log) = (World::default(), MemoryLog::default());
            for (step, fates) in STEPS.into_iter().zip(runs) {
                world.script(Kind::Run, step, fates);
            }
            for (step, fates) in STEPS.into_iter().zip(undos) {
                world.script(Kind::Undo, step, fates);
            }
            log.begin(saga());
            for (writes, written) in crashes {
                let engine = start(&world, CrashingLog::new(log.clone(), writes, written));
                tokio::time::sleep(Duration::from_secs(30)).await;
                engine.close().await;
            }
            let engine = start(&world, log.clone());
            let status = ended(&log).await;
            // Delayed attempts take effect now.
            tokio::time::sleep(Duration::from_secs(600)).await;
            engine.close().await;
            check(&world, status, &log);
            if status == Status::Stuck {
                // Only a refusal after the pivot can park the saga: no script has failures for
                // max_rounds rounds.
                assert!(world.done().len() > PIVOT, "{:?}", log.entries(SAGA));
            }
        });
    }
}
