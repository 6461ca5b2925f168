//! The process crashes at any write to the saga log, before or after the write takes effect, and the
//! next process continues.

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Duration,
};

use gantry_order::domain::Status;
use tokio::task::JoinSet;

use super::fakes::{CrashingLog, Fault, Method, TestOrder};

/// Runs the saga in a process that crashes at its nth write. Returns false if the saga ends first.
async fn crash(order: &TestOrder, writes: usize, written: bool) -> bool {
    let log =
        CrashingLog { inner: order.log().await, left: Arc::new(AtomicUsize::new(writes)), written };
    let engine = order.start(log.clone());
    while !log.crashed() && order.saga().await.0 == "running" {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    engine.close().await;
    log.crashed()
}

/// Number of writes that no saga here exceeds.
const WRITES: usize = 24;

/// Crashes at every write, each time on a new order that `prepare` configures. Returns the number of
/// crashes that happened.
async fn crash_everywhere(count: u32, expected: Status, prepare: fn(&mut TestOrder)) -> usize {
    let orders = [false, true].into_iter().flat_map(|written| {
        (1..=WRITES).map(move |writes| async move {
            let mut order = TestOrder::of(count).await;
            prepare(&mut order);
            let crashed = crash(&order, writes, written).await;
            let (status, _, saga) = order.run().await;
            assert_eq!(status, expected, "crashed at write {writes}, written: {written}");
            assert_ne!(saga, "stuck");
            order.check(count.into()).await;
            crashed
        })
    });
    // Concurrently, because they mostly wait.
    let orders: JoinSet<bool> = orders.collect();
    orders.join_all().await.into_iter().filter(|crashed| *crashed).count()
}

#[tokio::test]
async fn a_crash_at_any_write_still_confirms_the_order() {
    let crashes = crash_everywhere(3, Status::Confirmed, TestOrder::wait_long).await;
    assert_eq!(crashes, 10, "five writes for four steps, before and after");
}

#[tokio::test]
async fn a_crash_at_any_write_still_rejects_the_order() {
    let crashes = crash_everywhere(11, Status::Rejected, TestOrder::wait_long).await;
    assert!((10..2 * WRITES).contains(&crashes), "{crashes}");
}

#[tokio::test]
async fn a_crash_at_any_write_still_undoes_a_lost_reservation() {
    let crashes = crash_everywhere(3, Status::Rejected, |order| {
        order.wait_long();
        order.services.fail(Method::Reserve, [Fault::After; 500]);
        // Three attempts. Each loses its response.
        order.policy.step_deadline = Duration::from_secs(3);
        order.policy.retry_initial = Duration::from_secs(1);
        order.policy.retry_max = Duration::from_secs(1);
    })
    .await;
    assert!((16..2 * WRITES).contains(&crashes), "{crashes}");
}
