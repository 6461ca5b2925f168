//! The service stops and starts again.

use std::time::Duration;

use gantry_proto::shop::order::v1::{OrderStatus, PlaceOrderRequest};

use super::{ANN, Running, fakes::Behavior, place, place_and_wait, wait};

#[tokio::test]
async fn orders_and_requests_survive_a_restart() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 1)]).await;
    let request = place_and_wait(&draft);
    let order = running.place(request.clone()).await.unwrap();
    let running = running.restart().await;
    assert_eq!(running.get_by(ANN, &order.id).await.unwrap(), order);
    assert_eq!(running.place(request).await.unwrap(), order);
    assert_eq!(running.inventory.stock("mug"), (9, 0, 1));
}

#[tokio::test]
async fn a_restart_resumes_open_sagas() {
    for method in ["reserve", "commit"] {
        let running = Running::start().await;
        let draft = running.draft(&[("mug", 1)]).await;
        running.inventory.behave(method, Behavior::Down);
        running.place(place(&draft)).await.unwrap();
        running.inventory_called(method).await;
        let running = running.restart().await;
        running.inventory.behave(method, Behavior::Normal);
        assert_eq!(running.finished(&draft.id).await.status(), OrderStatus::Confirmed, "{method}");
        assert_eq!(running.inventory.stock("mug"), (9, 0, 1));
    }
}

#[tokio::test]
async fn a_drain_ends_waiting_calls() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 1)]).await;
    running.inventory.behave("commit", Behavior::Down);
    let mut client = running.client.clone();
    // Longer than `drain_timeout`, which would break the connection.
    let wait = wait(Duration::from_secs(30));
    let request = running.by(ANN, PlaceOrderRequest { wait, ..place(&draft) });
    let waiting = tokio::spawn(async move { client.place_order(request).await });
    running.inventory_called("commit").await;
    running.it.server.stop().await;
    let order = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(order.status(), OrderStatus::Placed);
    // Its saga retries until the inventory is up, but stops at its next safe point.
    running.it.service.close().await;
}
