//! The process dies at every write of the saga's log, before or after it is there, and
//! the next one goes on.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use gantry_order::domain::Status;

use tokio::task::JoinSet;

use super::shop::{Ask, CrashingLog, Fault, Trial};

/// Runs the trial in a process that dies at its nth write; false where it ends before.
async fn crash(trial: &Trial, writes: usize, written: bool) -> bool {
    let log =
        CrashingLog { inner: trial.log().await, left: Arc::new(AtomicUsize::new(writes)), written };
    let engine = trial.start(log.clone());
    while !log.crashed() && trial.saga().await.0 == "running" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    engine.close().await;
    log.crashed()
}

/// More than any of these sagas writes.
const WRITES: usize = 24;

/// Crashes at every write, each time in a trial of its own that `prepare` makes; how many
/// of them were reached.
async fn crash_everywhere(count: u32, expected: Status, prepare: fn(&mut Trial)) -> usize {
    let trials = [false, true].into_iter().flat_map(|written| {
        (1..=WRITES).map(move |writes| async move {
            let mut trial = Trial::of(count).await;
            prepare(&mut trial);
            let crashed = crash(&trial, writes, written).await;
            let (status, _, saga) = trial.carry().await;
            assert_eq!(status, expected, "crashed at write {writes}, written: {written}");
            assert_ne!(saga, "stuck");
            trial.check(count.into()).await;
            crashed
        })
    });
    // All at once: most of their time is spent waiting.
    let trials: JoinSet<bool> = trials.collect();
    trials.join_all().await.into_iter().filter(|crashed| *crashed).count()
}

#[tokio::test]
async fn an_order_is_confirmed_whatever_crashes() {
    let crashes = crash_everywhere(3, Status::Confirmed, Trial::patient).await;
    assert_eq!(crashes, 20, "two writes for each of five steps, each failing in both ways");
}

#[tokio::test]
async fn an_order_is_rejected_whatever_crashes() {
    let crashes = crash_everywhere(11, Status::Rejected, Trial::patient).await;
    assert!((20..2 * WRITES).contains(&crashes), "{crashes}");
}

#[tokio::test]
async fn an_order_whose_reservation_was_lost_is_undone_whatever_crashes() {
    let crashes = crash_everywhere(3, Status::Rejected, |trial| {
        trial.patient();
        trial.shop.fail(Ask::Reserve, [Fault::After; 500]);
        // Three attempts at what is lost each time.
        trial.policy.step_deadline = Duration::from_secs(3);
        trial.policy.retry_initial = Duration::from_secs(1);
        trial.policy.retry_max = Duration::from_secs(1);
    })
    .await;
    assert!((24..2 * WRITES).contains(&crashes), "{crashes}");
}
