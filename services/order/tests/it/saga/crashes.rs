//! The process crashes at any write to the saga log, before or after the write takes effect, and the
//! next process continues.

use std::time::Duration;

use gantry_order::domain::Status;
use gantry_saga::testing::CrashingLog;
use tokio::task::JoinSet;

use super::fakes::{Fault, Method, On, TestOrder};

on_both_engines! {
    a_crash_at_any_write_still_confirms_the_order
    a_crash_at_any_write_still_rejects_the_order
    a_crash_at_any_write_still_undoes_a_lost_reservation
}

/// Runs the saga in a process that crashes at its nth write. Returns false if the saga ends first.
async fn crash(order: &TestOrder, writes: usize, written: bool) -> bool {
    let log = CrashingLog::new(order.log().await, writes, written);
    let engine = order.start(log.clone());
    while !log.crashed() && order.saga().await.0 == "running" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    engine.close().await;
    log.crashed()
}

/// Numbers of writes that are tried at the same time.
const AT_ONCE: usize = 6;

/// Crashes at every write, each time on a new order that `prepare` configures. Returns the number of
/// crashes that happened.
async fn crash_everywhere(
    on: On,
    count: u32,
    expected: Status,
    prepare: fn(&mut TestOrder),
) -> usize {
    let mut crashes = 0;
    for first in (1..).step_by(AT_ONCE) {
        let trials = (first..first + AT_ONCE).flat_map(|writes| [(writes, false), (writes, true)]);
        let trials = trials.map(|(writes, written)| async move {
            let mut order = TestOrder::of(on, count).await;
            prepare(&mut order);
            let crashed = crash(&order, writes, written).await;
            let (status, _, saga) = order.run().await;
            assert_eq!(status, expected, "crashed at write {writes}, written: {written}");
            assert_ne!(saga, "stuck");
            order.check(count.into()).await;
            crashed
        });
        // Concurrently, because they mostly wait.
        let trials: JoinSet<bool> = trials.collect();
        let crashed = trials.join_all().await;
        crashes += crashed.iter().filter(|crashed| **crashed).count();
        // A saga that ended before the crash has fewer writes.
        if crashed.contains(&false) {
            break;
        }
    }
    crashes
}

async fn a_crash_at_any_write_still_confirms_the_order(on: On) {
    let crashes = crash_everywhere(on, 3, Status::Confirmed, TestOrder::wait_long).await;
    assert_eq!(crashes, 10, "five writes for four steps, before and after");
}

async fn a_crash_at_any_write_still_rejects_the_order(on: On) {
    let crashes = crash_everywhere(on, 11, Status::Rejected, TestOrder::wait_long).await;
    assert!(crashes >= 10, "{crashes}");
}

async fn a_crash_at_any_write_still_undoes_a_lost_reservation(on: On) {
    let crashes = crash_everywhere(on, 3, Status::Rejected, |order| {
        order.wait_long();
        order.services.fail(Method::Reserve, [Fault::After; 500]);
        // Three attempts. Each loses its response.
        order.policy.step_deadline = Duration::from_secs(3);
        order.policy.retry_initial = Duration::from_secs(1);
        order.policy.retry_max = Duration::from_secs(1);
    })
    .await;
    // At least six writes, before and after; one more for each further attempt that the machine makes
    // in time.
    assert!(crashes >= 12, "{crashes}");
}
