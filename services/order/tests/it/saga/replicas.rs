//! Two replicas on one PostgreSQL database: the engine of one crashes or loses its lease, that of the
//! other one continues.

use std::time::Duration;

use gantry_common_testing::eventually;
use gantry_order::domain::Status;
use gantry_saga::testing::CrashingLog;

use super::fakes::{On, TestOrder};

/// Appends of a saga whose steps all succeed.
const APPENDS: usize = 5;

#[tokio::test]
async fn a_replica_continues_after_a_crash_at_any_append() {
    for (appends, written) in (1..=APPENDS).flat_map(|n| [(n, false), (n, true)]) {
        let mut order = TestOrder::of(On::Postgres, 3).await;
        order.wait_long();
        let log = CrashingLog::new(order.log().await, appends, written);
        let killed = order.start(log.clone());
        let claimed = || async { (order.epoch().await == 1).then_some(()) };
        eventually("a lease of the first replica", claimed).await;
        let other = order.start_replica(order.replica_log().await);
        let crashed = || async { log.crashed().then_some(()) };
        eventually("the crash", crashed).await;
        // The last append ends the saga, if it is written.
        let is_over = appends == APPENDS && written;
        if !is_over {
            assert_eq!((order.saga().await.0.as_str(), order.epoch().await), ("running", 1));
            order.end_leases().await;
        }
        assert_eq!(order.ended().await, "completed", "crashed at append {appends}: {written}");
        assert_eq!(order.epoch().await, if is_over { 1 } else { 2 });
        killed.close().await;
        other.close().await;
        assert_eq!(order.stored().await.order.status(), Status::Confirmed);
        order.check(3).await;
    }
}

/// A replica that is slower than its lease keeps going when another one has claimed its saga.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leases_that_end_too_early_do_no_harm() {
    for (count, expected) in [(3, Status::Confirmed), (11, Status::Rejected)] {
        for _ in 0..5 {
            let mut order = TestOrder::of(On::Postgres, count).await;
            order.wait_long();
            let one = order.start(order.log().await);
            let other = order.start_replica(order.replica_log().await);
            for _ in 0..20 {
                order.end_leases().await;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            order.end_leases().await;
            assert_ne!(order.ended().await, "stuck");
            one.close().await;
            other.close().await;
            assert_eq!(order.stored().await.order.status(), expected);
            order.check(count.into()).await;
        }
    }
}
