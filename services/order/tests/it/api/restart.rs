//! The service ends and starts again.

use std::time::{Duration, Instant};

use gantry_proto::shop::order::v1::OrderStatus;

use super::{ANN, Running, fakes::Mood, place, place_and_wait};

#[tokio::test]
async fn orders_and_requests_are_there_again() {
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
async fn an_order_under_way_is_carried_on() {
    for method in ["reserve", "commit"] {
        let running = Running::start().await;
        let draft = running.draft(&[("mug", 1)]).await;
        running.inventory.mood(method, Mood::Down);
        running.place(place(&draft)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        let running = running.restart().await;
        running.inventory.mood(method, Mood::Well);
        assert_eq!(running.settled(&draft.id).await.status(), OrderStatus::Confirmed, "{method}");
        assert_eq!(running.inventory.stock("mug"), (9, 0, 1));
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_those_who_wait() {
    let running = Running::start().await;
    let draft = running.draft(&[("mug", 1)]).await;
    running.inventory.mood("commit", Mood::Down);
    let mut client = running.client.clone();
    let request = running.by(ANN, place_and_wait(&draft));
    let waiting = tokio::spawn(async move { client.place_order(request).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let began = Instant::now();
    running.it.server.stop().await;
    assert!(began.elapsed() < Duration::from_secs(5));
    let answer = waiting.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.status(), OrderStatus::Placed);
    let began = Instant::now();
    running.it.service.close().await;
    assert!(began.elapsed() < Duration::from_secs(2), "the saga stops at its next safe point");
}
