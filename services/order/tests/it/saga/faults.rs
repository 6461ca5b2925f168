//! Called services refuse or do not respond.

use std::time::Duration;

use gantry_order::{
    application::Customer,
    domain::{RejectReason, Status, Tier},
};

use super::fakes::{Fault, Method, TestOrder};

const COMPLETED: &str = "completed";
const UNDONE: &str = "undone";

#[tokio::test]
async fn without_faults_the_stock_is_sold() {
    let order = TestOrder::of(3).await;
    assert_eq!(order.run().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    order.check(3).await;
}

#[tokio::test]
async fn a_refusal_rejects_the_order_with_its_reason() {
    let rejected = |reason| (Status::Rejected, Some(reason), UNDONE.to_owned());

    let order = TestOrder::of(11).await;
    assert_eq!(order.run().await, rejected(RejectReason::InsufficientStock));
    order.check(11).await;

    let order = TestOrder::with(&[("mug", 1), ("unknown", 1)]).await;
    assert_eq!(order.run().await, rejected(RejectReason::ProductNotFound));
    order.check(1).await;

    let order = TestOrder::of(1).await;
    order.services.customer(None);
    assert_eq!(order.run().await, rejected(RejectReason::UserNotFound));
    order.check(1).await;

    let order = TestOrder::of(1).await;
    order.services.customer(Some(Customer { tier: Tier::Vip, active: false }));
    assert_eq!(order.run().await, rejected(RejectReason::UserNotActive));
    order.check(1).await;
}

#[tokio::test]
async fn a_lost_response_is_repaired_by_a_retry() {
    for method in [Method::User, Method::Reserve, Method::Commit] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let mut order = TestOrder::of(3).await;
            order.policy.step_deadline = Duration::from_secs(60);
            order.services.fail(method, [fault]);
            let (status, _, saga) = order.run().await;
            assert_eq!((status, &*saga), (Status::Confirmed, COMPLETED), "{method:?} {fault:?}");
            order.check(3).await;
        }
    }
}

#[tokio::test]
async fn a_silent_service_rejects_the_order() {
    for method in [Method::User, Method::Reserve] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let order = TestOrder::of(3).await;
            order.services.fail(method, [fault; 50]);
            let expected =
                (Status::Rejected, Some(RejectReason::ServiceUnavailable), UNDONE.to_owned());
            assert_eq!(order.run().await, expected, "{method:?} {fault:?}");
            order.check(3).await;
        }
    }
}

/// The order is rejected while the inventory is down. The stock is released when it is up again.
#[tokio::test]
async fn a_rejection_does_not_wait_for_a_service_that_is_down() {
    let order = TestOrder::of(3).await;
    order.services.fail(Method::Reserve, [Fault::After; 50]);
    order.services.fail(Method::Release, [Fault::Before; 15]);
    let engine = order.start(order.log().await);
    let mut rejected_early = false;
    while order.saga().await.0 == "running" {
        rejected_early |= order.stored().await.order.status() == Status::Rejected
            && order.services.stock().1 == 3;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    engine.close().await;
    assert!(rejected_early);
    order.check(3).await;
}

#[tokio::test]
async fn from_the_pivot_on_lost_responses_are_retried() {
    let order = TestOrder::of(3).await;
    order.services.fail(Method::Commit, [Fault::After; 15]);
    assert_eq!(order.run().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    order.check(3).await;
}

#[tokio::test]
async fn a_release_that_never_succeeds_leaves_the_saga_stuck() {
    let order = TestOrder::of(3).await;
    order.services.fail(Method::Reserve, [Fault::After; 50]);
    order.services.fail(Method::Release, [Fault::Before; 5000]);
    let (status, reason, saga) = order.run().await;
    assert_eq!((status, reason), (Status::Rejected, Some(RejectReason::ServiceUnavailable)));
    assert_eq!(saga, "stuck");
    assert_eq!(
        order.services.stock().1,
        3,
        "the stock stays reserved until an operator resolves the saga"
    );
}
