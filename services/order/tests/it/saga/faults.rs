//! Called services refuse or do not respond.

use std::{num::NonZeroU32, time::Duration};

use gantry_order::{
    application::Customer,
    domain::{RejectReason, Status, Tier},
};

use super::fakes::{Fault, Method, On, TestOrder};

on_both_engines! {
    without_faults_the_stock_is_sold
    a_refusal_rejects_the_order_with_its_reason
    a_lost_response_is_repaired_by_a_retry
    a_silent_service_rejects_the_order
    a_rejection_does_not_wait_for_a_service_that_is_down
    from_the_pivot_on_lost_responses_are_retried
    a_release_that_never_succeeds_leaves_the_saga_stuck
}

/// More rounds than failures of these tests, however few attempts a round of a busy machine has.
const ENOUGH: NonZeroU32 = NonZeroU32::new(100).unwrap();

const COMPLETED: &str = "completed";
const UNDONE: &str = "undone";

async fn without_faults_the_stock_is_sold(on: On) {
    let mut order = TestOrder::of(on, 3).await;
    order.wait_long();
    assert_eq!(order.run().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    order.check(3).await;
}

async fn a_refusal_rejects_the_order_with_its_reason(on: On) {
    let rejected = |reason| (Status::Rejected, Some(reason), UNDONE.to_owned());

    let mut order = TestOrder::of(on, 11).await;
    order.wait_long();
    assert_eq!(order.run().await, rejected(RejectReason::InsufficientStock));
    order.check(11).await;

    let mut order = TestOrder::with(on, &[("mug", 1), ("unknown", 1)]).await;
    order.wait_long();
    assert_eq!(order.run().await, rejected(RejectReason::ProductNotFound));
    order.check(1).await;

    let mut order = TestOrder::of(on, 1).await;
    order.wait_long();
    order.services.customer(None);
    assert_eq!(order.run().await, rejected(RejectReason::UserNotFound));
    order.check(1).await;

    let mut order = TestOrder::of(on, 1).await;
    order.wait_long();
    order.services.customer(Some(Customer { tier: Tier::Vip, active: false }));
    assert_eq!(order.run().await, rejected(RejectReason::UserNotActive));
    order.check(1).await;
}

async fn a_lost_response_is_repaired_by_a_retry(on: On) {
    for method in [Method::User, Method::Reserve, Method::Commit] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let mut order = TestOrder::of(on, 3).await;
            order.policy.step_deadline = Duration::from_secs(60);
            order.services.fail(method, [fault]);
            let (status, _, saga) = order.run().await;
            assert_eq!((status, &*saga), (Status::Confirmed, COMPLETED), "{method:?} {fault:?}");
            order.check(3).await;
        }
    }
}

async fn a_silent_service_rejects_the_order(on: On) {
    for method in [Method::User, Method::Reserve] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let order = TestOrder::of(on, 3).await;
            order.services.fail(method, [fault; 50]);
            let expected =
                (Status::Rejected, Some(RejectReason::ServiceUnavailable), UNDONE.to_owned());
            assert_eq!(order.run().await, expected, "{method:?} {fault:?}");
            order.check(3).await;
        }
    }
}

/// The order is rejected while the inventory is down. The stock is released when it is up again.
async fn a_rejection_does_not_wait_for_a_service_that_is_down(on: On) {
    let mut order = TestOrder::of(on, 3).await;
    order.policy.max_rounds = ENOUGH;
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

async fn from_the_pivot_on_lost_responses_are_retried(on: On) {
    let mut order = TestOrder::of(on, 3).await;
    order.policy.max_rounds = ENOUGH;
    order.services.fail(Method::Commit, [Fault::After; 15]);
    assert_eq!(order.run().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    order.check(3).await;
}

async fn a_release_that_never_succeeds_leaves_the_saga_stuck(on: On) {
    let order = TestOrder::of(on, 3).await;
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
