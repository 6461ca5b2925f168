//! ReserveStock, CommitReservation, ReleaseReservation.

use gantry_proto::shop::inventory::v1::{ReservationStatus, ReserveStockRequest};
use tokio::task::JoinSet;
use tonic::Code;
use tonic_types::StatusExt;
use uuid::Uuid;

use super::{Running, id, new_id, refusal, refused, reserve, wrong_fields};

#[tokio::test]
async fn stock_is_reserved_and_sold() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    running.stock("b", 1).await;
    let id = id();
    // Quantities of the same product are added.
    let made = running.reserve(reserve(id, &[("b", 1), ("a", 1), ("a", 2)])).await.unwrap();
    assert_eq!((made.id.as_str(), made.status()), (&*id.to_string(), ReservationStatus::Reserved));
    let items: Vec<_> = made.items.iter().map(|item| (item.sku.as_str(), item.quantity)).collect();
    assert_eq!(items, [("a", 3), ("b", 1)]);
    assert_eq!((running.counts("a").await, running.counts("b").await), ((2, 3), (0, 1)));

    let sold = running.commit(id).await.unwrap();
    assert_eq!((sold.status(), &sold.items), (ReservationStatus::Committed, &made.items));
    assert_eq!(running.commit(id).await.unwrap(), sold);
    assert_eq!((running.counts("a").await, running.counts("b").await), ((2, 0), (0, 0)));
    refused(running.release(id), Code::FailedPrecondition, "RESERVATION_COMMITTED").await;
}

#[tokio::test]
async fn a_released_reservation_returns_its_stock() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    let id = id();
    running.reserve(reserve(id, &[("a", 3)])).await.unwrap();
    let released = running.release(id).await.unwrap();
    assert_eq!(released.status(), ReservationStatus::Released);
    assert_eq!(running.release(id).await.unwrap(), released);
    assert_eq!(running.counts("a").await, (5, 0));
    refused(running.commit(id), Code::FailedPrecondition, "RESERVATION_RELEASED").await;
}

#[tokio::test]
async fn an_early_release_refuses_the_late_reservation() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    let id = id();
    let mark = running.release(id).await.unwrap();
    assert_eq!((mark.status(), mark.items.len()), (ReservationStatus::Released, 0));
    let late = running.reserve(reserve(id, &[("a", 3)]));
    refused(late, Code::FailedPrecondition, "RESERVATION_RELEASED").await;
    assert_eq!(running.counts("a").await, (5, 0));
}

#[tokio::test]
async fn too_little_stock_is_reported_for_each_product() {
    let running = Running::start().await;
    for (sku, stock) in [("a", 5), ("b", 1), ("c", 0)] {
        running.stock(sku, stock).await;
    }
    let call = running.reserve(reserve(id(), &[("a", 5), ("b", 2), ("c", 1)]));
    let status = refused(call, Code::FailedPrecondition, "INSUFFICIENT_STOCK").await;
    let failures = status.get_details_precondition_failure().unwrap().violations;
    let shortages: Vec<_> =
        failures.iter().map(|v| (v.subject.as_str(), v.description.as_str())).collect();
    assert_eq!(shortages, [("b", "2 requested, 1 in stock"), ("c", "1 requested, 0 in stock")]);
    assert_eq!(running.counts("a").await, (5, 0));
}

#[tokio::test]
async fn unknown_products_are_named() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    let call = running.reserve(reserve(id(), &[("y", 1), ("a", 1), ("x", 1)]));
    let status = refused(call, Code::NotFound, "PRODUCT_NOT_FOUND").await;
    assert_eq!(status.get_details_error_info().unwrap().metadata["skus"], "x,y");
    assert_eq!(running.counts("a").await, (5, 0));
}

#[tokio::test]
async fn a_repeated_reservation_is_the_same_one() {
    let running = Running::start().await;
    running.stock("a", 5).await;
    let id = id();
    let request = reserve(id, &[("a", 2)]);
    let made = running.reserve(request.clone()).await.unwrap();
    assert_eq!(running.reserve(request.clone()).await.unwrap(), made);
    // Another request_id changes nothing: the reservation's own id is unique for ever.
    let later = ReserveStockRequest { request_id: new_id(), ..request.clone() };
    assert_eq!(running.reserve(later).await.unwrap(), made);
    assert_eq!(running.counts("a").await, (3, 2));

    for other in [
        ReserveStockRequest { request_id: request.request_id, ..reserve(id, &[("a", 1)]) },
        reserve(id, &[("a", 1)]),
    ] {
        refused(running.reserve(other), Code::AlreadyExists, "REQUEST_ID_REUSED").await;
    }
    assert_eq!(running.counts("a").await, (3, 2));
}

#[tokio::test]
async fn an_unknown_reservation_cannot_be_committed() {
    let running = Running::start().await;
    let id = id();
    let status = refused(running.commit(id), Code::NotFound, "RESERVATION_NOT_FOUND").await;
    assert_eq!(status.get_details_resource_info().unwrap().resource_name, id.to_string());
}

#[tokio::test]
async fn all_violations_are_reported_at_once() {
    let running = Running::start().await;
    let nil = reserve(Uuid::nil(), &[("a", 1)]);
    let status = refused(running.reserve(nil), Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["reservation_id"]);
    let wrong = ReserveStockRequest {
        reservation_id: "1".to_owned(),
        request_id: String::new(),
        ..reserve(id(), &[("a", 0), ("", 1), ("a", 1_000_001)])
    };
    let call = running.reserve(wrong);
    let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(
        wrong_fields(&status),
        ["items[0].quantity", "items[1].sku", "items[2].quantity", "request_id", "reservation_id"]
    );
    let call = running.reserve(reserve(id(), &[]));
    let status = refused(call, Code::InvalidArgument, "VALIDATION_FAILED").await;
    assert_eq!(wrong_fields(&status), ["items"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_callers_never_oversell() {
    let running = Running::start().await;
    running.stock("a", 25).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let request = running.by_order(reserve(id(), &[("a", 1)]));
        let mut client = running.client.clone();
        calls.spawn(async move { client.reserve_stock(request).await });
    }
    let (won, lost): (Vec<_>, Vec<_>) = calls.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (25, 15));
    for answer in lost {
        let (status, reason) = refusal(answer);
        assert_eq!((status.code(), &*reason), (Code::FailedPrecondition, "INSUFFICIENT_STOCK"));
    }
    assert_eq!(running.counts("a").await, (0, 25));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repetitions_make_one_reservation() {
    let running = Running::start().await;
    running.stock("a", 25).await;
    let id: Uuid = id();
    let mut calls = JoinSet::new();
    for _ in 0..16 {
        let request = running.by_order(reserve(id, &[("a", 3)]));
        let mut client = running.client.clone();
        calls.spawn(async move { client.reserve_stock(request).await.unwrap().into_inner() });
    }
    let answers = calls.join_all().await;
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(running.counts("a").await, (22, 3));
}
