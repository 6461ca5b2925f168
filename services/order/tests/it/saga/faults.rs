//! Other services refuse, or are silent.

use std::time::Duration;

use gantry_order::{
    application::Customer,
    domain::{RejectReason, Status, Tier},
};

use super::shop::{Ask, Fault, Trial};

const COMPLETED: &str = "completed";
const UNDONE: &str = "undone";

#[tokio::test]
async fn where_all_goes_well_the_stock_is_sold() {
    let trial = Trial::of(3).await;
    assert_eq!(trial.carry().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    trial.check(3).await;
}

#[tokio::test]
async fn a_refusal_rejects_the_order_with_its_reason() {
    let rejected = |reason| (Status::Rejected, Some(reason), UNDONE.to_owned());

    let trial = Trial::of(11).await;
    assert_eq!(trial.carry().await, rejected(RejectReason::InsufficientStock));
    trial.check(11).await;

    let trial = Trial::with(&[("mug", 1), ("unheard-of", 1)]).await;
    assert_eq!(trial.carry().await, rejected(RejectReason::ProductNotFound));
    trial.check(1).await;

    let trial = Trial::of(1).await;
    trial.shop.customer(None);
    assert_eq!(trial.carry().await, rejected(RejectReason::UserNotFound));
    trial.check(1).await;

    let trial = Trial::of(1).await;
    trial.shop.customer(Some(Customer { tier: Tier::Vip, active: false }));
    assert_eq!(trial.carry().await, rejected(RejectReason::UserNotActive));
    trial.check(1).await;
}

#[tokio::test]
async fn a_lost_answer_is_repaired_by_repeating() {
    for ask in [Ask::User, Ask::Reserve, Ask::Commit] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let mut trial = Trial::of(3).await;
            trial.policy.step_deadline = Duration::from_secs(60);
            trial.shop.fail(ask, [fault]);
            let (status, _, saga) = trial.carry().await;
            assert_eq!((status, &*saga), (Status::Confirmed, COMPLETED), "{ask:?} {fault:?}");
            trial.check(3).await;
        }
    }
}

#[tokio::test]
async fn a_service_that_stays_silent_rejects_the_order_and_leaves_nothing_reserved() {
    for ask in [Ask::User, Ask::Reserve] {
        for fault in [Fault::Before, Fault::After, Fault::Hang] {
            let trial = Trial::of(3).await;
            trial.shop.fail(ask, [fault; 50]);
            let expected =
                (Status::Rejected, Some(RejectReason::ServiceUnavailable), UNDONE.to_owned());
            assert_eq!(trial.carry().await, expected, "{ask:?} {fault:?}");
            trial.check(3).await;
        }
    }
}

/// The customer hears of the rejection although the stock cannot be put back yet; it is
/// put back when the inventory is there again.
#[tokio::test]
async fn a_rejection_does_not_wait_for_a_service_that_is_down() {
    let trial = Trial::of(3).await;
    trial.shop.fail(Ask::Reserve, [Fault::After; 50]);
    trial.shop.fail(Ask::Release, [Fault::Before; 15]);
    let engine = trial.start(trial.log().await);
    let mut rejected_early = false;
    while trial.saga().await.0 == "running" {
        rejected_early |=
            trial.order().await.order.status() == Status::Rejected && trial.shop.stock().1 == 3;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    engine.close().await;
    assert!(rejected_early);
    trial.check(3).await;
}

#[tokio::test]
async fn once_the_stock_may_be_sold_silence_is_waited_out() {
    let trial = Trial::of(3).await;
    trial.shop.fail(Ask::Commit, [Fault::After; 15]);
    assert_eq!(trial.carry().await, (Status::Confirmed, None, COMPLETED.to_owned()));
    trial.check(3).await;
}

#[tokio::test]
async fn a_release_that_never_succeeds_parks_the_saga_for_an_operator() {
    let trial = Trial::of(3).await;
    trial.shop.fail(Ask::Reserve, [Fault::After; 50]);
    trial.shop.fail(Ask::Release, [Fault::Before; 5000]);
    let (status, reason, saga) = trial.carry().await;
    assert_eq!((status, reason), (Status::Rejected, Some(RejectReason::ServiceUnavailable)));
    assert_eq!(saga, "stuck");
    assert_eq!(trial.shop.stock().1, 3, "still reserved: what the operator has to see to");
}
