//! The process dies at every write of the saga's log, before or after it is there, and
//! the next one goes on.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use gantry_order::domain::Status;

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

/// Crashes at every write of the trial that `prepare` makes; how many there were.
async fn crash_everywhere(count: u32, expected: Status, prepare: impl Fn(&Trial)) -> usize {
    for written in [false, true] {
        for writes in 1.. {
            let trial = Trial::of(count).await;
            prepare(&trial);
            let crashed = crash(&trial, writes, written).await;
            let (status, _, saga) = trial.carry().await;
            assert_eq!(status, expected, "crashed at write {writes}, written: {written}");
            assert_ne!(saga, "stuck");
            trial.check(count.into()).await;
            if !crashed {
                if written {
                    return writes;
                }
                break;
            }
        }
    }
    0
}

#[tokio::test]
async fn an_order_is_confirmed_whatever_crashes() {
    // Two writes for each of five steps, and the run that meets no crash.
    assert_eq!(crash_everywhere(3, Status::Confirmed, |_| {}).await, 11);
}

#[tokio::test]
async fn an_order_is_rejected_whatever_crashes() {
    let writes = crash_everywhere(11, Status::Rejected, |_| {}).await;
    assert!(writes > 8, "{writes}");
}

#[tokio::test]
async fn an_order_whose_reservation_was_lost_is_undone_whatever_crashes() {
    crash_everywhere(3, Status::Rejected, |trial| {
        trial.shop.fail(Ask::Reserve, [Fault::After; 500]);
    })
    .await;
}
