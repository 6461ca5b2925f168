//! PlaceOrder.

use std::{sync::Arc, time::Duration};

use gantry_common_testing::eventually;
use gantry_contract::Caller;
use gantry_proto::shop::{
    order::v1::{OrderStatus, PlaceOrderRequest, RejectReason},
    user::v1::{Tier, UserStatus},
};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt;

use super::{
    ADMIN, ANN, BOB, Running, address, ann, euros, fakes::Behavior, new_id, place, place_and_wait,
    refused, wait, wrong_fields,
};

#[tokio::test]
async fn an_order_is_confirmed_and_the_stock_sold() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let order = running.place(place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Confirmed);
    assert_eq!(order.reject_reason(), RejectReason::Unspecified);
    assert_ne!(order.etag, draft.etag);
    assert_eq!(running.inventory.stock("mug"), (7, 0, 3));
    assert_eq!(running.get_by(ANN, &order.id).await.unwrap(), order);
}

#[tokio::test]
async fn the_saga_calls_as_order_and_names_the_user_as_cause() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.users.callers();
    running.inventory.callers();
    running.place(place_and_wait(&draft)).await.unwrap();
    let own = Caller::Service { service: "order".to_owned(), cause: Some(ann()) };
    for callers in [running.users.callers(), running.inventory.callers()] {
        assert!(!callers.is_empty() && callers.iter().all(|caller| *caller == own), "{callers:?}");
    }
}

#[tokio::test]
async fn the_sagas_calls_carry_the_request_id_of_its_call() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.inventory.call_ids();
    let mut request = running.by(ANN, place_and_wait(&draft));
    request.metadata_mut().insert("x-request-id", "placed-by-ann".parse().unwrap());
    running.client.clone().place_order(request).await.unwrap();
    assert_eq!(running.inventory.call_ids(), ["placed-by-ann", "placed-by-ann"]);
}

#[tokio::test]
async fn without_a_wait_the_response_precedes_the_outcome() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let order = running.place(place(&draft)).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Placed);
    assert_eq!(running.finished(&order.id).await.status(), OrderStatus::Confirmed);
}

#[tokio::test]
async fn a_refusal_rejects_the_order_and_keeps_the_stock() {
    let running = Running::start().await;

    let draft = running.draft(&[("pen", 1), ("mug", 11)]).await;
    let order = running.place(place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Rejected);
    assert_eq!(order.reject_reason(), RejectReason::InsufficientStock);
    assert_eq!(running.inventory.stock("mug"), (10, 0, 0));
    assert_eq!(running.inventory.stock("pen"), (1_000, 0, 0));

    let draft = running.draft(&[("mug", 1), ("pen", 1)]).await;
    running.inventory.remove("pen");
    let order = running.place(place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.reject_reason(), RejectReason::ProductNotFound);

    let draft = running.draft(&[("mug", 1)]).await;
    running.users.put(ANN, Tier::Regular, UserStatus::Deactivated);
    let order = running.place(place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.reject_reason(), RejectReason::UserNotActive);
    assert_eq!(running.inventory.stock("mug"), (10, 0, 0));
}

#[tokio::test]
async fn a_silent_service_rejects_the_order_in_the_end() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.inventory.behave("reserve", Behavior::Silent);
    let short = PlaceOrderRequest { wait: wait(Duration::from_millis(300)), ..place(&draft) };
    let order = running.place(short).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Placed, "the wait ends before the saga");
    let order = running.finished(&order.id).await;
    assert_eq!(order.reject_reason(), RejectReason::ServiceUnavailable);
    assert_eq!(running.inventory.stock("mug"), (10, 0, 0));
}

#[tokio::test]
async fn a_callee_that_is_down_rejects_the_order_and_undoes_later() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    for method in ["reserve", "release"] {
        running.inventory.behave(method, Behavior::Down);
    }
    let order = running.place(place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.reject_reason(), RejectReason::ServiceUnavailable);
    assert_eq!(running.inventory.reservations(), 0);
    running.inventory.behave("release", Behavior::Normal);
    // The tombstone that refuses a late reservation.
    let released = || async { (running.inventory.reservations() == 1).then_some(()) };
    eventually("the release", released).await;
}

#[tokio::test]
async fn a_repeated_request_returns_the_current_order() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let request = place(&draft);
    let first = running.place(request.clone()).await.unwrap();
    assert_eq!(first.status(), OrderStatus::Placed);
    running.finished(&first.id).await;
    let again = running.place(request.clone()).await.unwrap();
    assert_eq!(again.status(), OrderStatus::Confirmed);
    assert_eq!(running.inventory.stock("mug"), (7, 0, 3));

    let other = PlaceOrderRequest { payment_token: "other".to_owned(), ..request };
    refused(running.place(other), Code::AlreadyExists, "REQUEST_ID_REUSED").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repetitions_get_the_same_order() {
    let running = Running::start().await;
    for _ in 0..8 {
        let draft = running.draft(&[("mug", 1)]).await;
        let request = place(&draft);
        let send = || running.place(request.clone());
        let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
        for placed in [a, b, c, d] {
            assert_eq!(placed.unwrap().id, draft.id);
        }
    }
}

#[tokio::test]
async fn an_order_is_placed_once() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let together = tokio::join!(
        running.place(place_and_wait(&draft)),
        running.place(place_and_wait(&draft)),
        running.place(place_and_wait(&draft)),
        running.place(place_and_wait(&draft)),
    );
    let mut placed = 0;
    for answer in [together.0, together.1, together.2, together.3] {
        match answer {
            Ok(_) => placed += 1,
            // The call read the draft but wrote too late, or read the placed order.
            Err(status) => {
                let reason = status.get_details_error_info().unwrap().reason;
                assert!(matches!(&*reason, "ETAG_MISMATCH" | "ORDER_STATUS"), "{status:?}");
            }
        }
    }
    assert_eq!(placed, 1);
    assert_eq!(running.inventory.stock("mug"), (7, 0, 3));
    let call = running.place(place(&draft));
    let status = refused(call, Code::FailedPrecondition, "ORDER_STATUS").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["status"], "CONFIRMED");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_placements_have_one_winner() {
    let running = Arc::new(Running::start().await);
    for _ in 0..5 {
        let draft = running.draft(&[("mug", 1)]).await;
        let mut callers = JoinSet::new();
        for _ in 0..8 {
            let (running, request) = (Arc::clone(&running), place(&draft));
            callers.spawn(async move { running.place(request).await });
        }
        let mut placed = 0;
        while let Some(answer) = callers.join_next().await {
            match answer.unwrap() {
                Ok(_) => placed += 1,
                // Without an etag, no call fails with ETAG_MISMATCH.
                Err(status) => assert_eq!(
                    status.get_details_error_info().unwrap().reason,
                    "ORDER_STATUS",
                    "{status:?}"
                ),
            }
        }
        assert_eq!(placed, 1);
    }
}

#[tokio::test]
async fn a_stale_etag_is_refused() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let with = |etag: &str| PlaceOrderRequest { etag: Some(etag.to_owned()), ..place(&draft) };
    for stale in ["0", "2", "x", "\"1\""] {
        refused(running.place(with(stale)), Code::Aborted, "ETAG_MISMATCH").await;
    }
    assert_eq!(running.get_by(ANN, &draft.id).await.unwrap(), draft);
    running.place(with(&draft.etag)).await.unwrap();
}

#[tokio::test]
async fn the_expected_total_must_equal_the_price_with_tax() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 1)]).await;
    let expect = |units, nanos| PlaceOrderRequest {
        shipping_address: address("DE"),
        expected_total: Some(euros(units, nanos)),
        ..place_and_wait(&draft)
    };
    let status =
        refused(running.place(expect(9, 0)), Code::FailedPrecondition, "PRICE_CHANGED").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["total"], "10.71 EUR");
    assert_eq!(running.get_by(ANN, &draft.id).await.unwrap(), draft);

    let order = running.place(expect(10, 710_000_000)).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Confirmed);
    assert_eq!(order.tax, Some(euros(1, 710_000_000)));
    assert_eq!(order.total, Some(euros(10, 710_000_000)));
    assert_eq!(order.shipping_address.unwrap().region_code, "DE");
}

#[tokio::test]
async fn violations_name_their_fields() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 1)]).await;
    let mut money = euros(1, 0);
    money.currency_code = "EURO".to_owned();
    for (spoil, field) in [
        ((|r, _| r.id = "1".to_owned()) as fn(&mut PlaceOrderRequest, _), "id"),
        (|r, _| r.request_id.clear(), "request_id"),
        (|r, _| r.wait = wait(Duration::from_secs(31)), "wait"),
        (|r, _| r.payment_token = "x".repeat(257), "payment_token"),
        (|r, _| r.shipping_address = address("Germany"), "shipping_address.region_code"),
        (|r, money| r.expected_total = Some(money), "expected_total.currency_code"),
        (|r, _| r.expected_total = Some(euros(1, 1)), "expected_total.nanos"),
        (|r, _| r.expected_total = Some(euros(-1, 0)), "expected_total"),
    ] {
        let mut request = place(&draft);
        spoil(&mut request, money.clone());
        let status =
            refused(running.place(request), Code::InvalidArgument, "VALIDATION_FAILED").await;
        assert_eq!(wrong_fields(&status), [field]);
    }
    let request = PlaceOrderRequest {
        shipping_address: address("Germany"),
        expected_total: Some(money),
        ..place(&draft)
    };
    let status = refused(running.place(request), Code::InvalidArgument, "VALIDATION_FAILED").await;
    let both = ["expected_total.currency_code", "shipping_address.region_code"];
    assert_eq!(wrong_fields(&status), both);
}

#[tokio::test]
async fn only_the_owner_or_an_admin_places_an_order() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    let call = running.place_by(BOB, place(&draft));
    refused(call, Code::PermissionDenied, "NOT_OWNER").await;
    let unknown = PlaceOrderRequest { id: new_id(), ..place(&draft) };
    refused(running.place_by(ADMIN, unknown), Code::NotFound, "ORDER_NOT_FOUND").await;
    let order = running.place_by(ADMIN, place_and_wait(&draft)).await.unwrap();
    assert_eq!(order.status(), OrderStatus::Confirmed);
}

#[tokio::test]
async fn waiting_ends_before_the_deadline() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.inventory.behave("reserve", Behavior::Silent);
    let mut request = running.by(ANN, place_and_wait(&draft));
    request.set_timeout(Duration::from_secs(1));
    let order = running.client.clone().place_order(request).await.unwrap().into_inner();
    assert_eq!(order.status(), OrderStatus::Placed);
}

#[tokio::test]
async fn a_placed_order_continues_without_its_caller() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 3)]).await;
    running.users.behave(Behavior::Silent);
    running.users.callers();
    let called = || async { (!running.users.callers().is_empty()).then_some(()) };
    tokio::select! {
        placed = running.place(place_and_wait(&draft)) => panic!("{placed:?}"),
        () = eventually("a call of the saga", called) => {}
    }
    running.users.behave(Behavior::Normal);
    assert_eq!(running.finished(&draft.id).await.status(), OrderStatus::Confirmed);
}
