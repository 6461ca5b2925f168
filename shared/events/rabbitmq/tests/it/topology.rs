//! Queues and exchanges, as the broker sees them.

use gantry_events::{Bus, Scope, Subscription};
use lapin::{
    ExchangeKind,
    options::{ExchangeDeclareOptions, QueueDeclareOptions},
    types::FieldTable,
};
use serde_json::Value;

use crate::support::{Place, misconfigured, orders, placed, publish, receive, soon};

async fn queues(place: &Place<'_>) -> Vec<Value> {
    let queues = place.broker.api().send("GET", &format!("/queues/{}", place.vhost), None).await;
    let mut queues = queues.as_array().unwrap().clone();
    queues.sort_by_key(|queue| queue["name"].as_str().map(str::to_owned));
    queues
}

#[tokio::test]
async fn a_service_has_a_quorum_queue_with_one_active_consumer() {
    let place = Place::shared().await;
    let bus = place.bus();
    let deliveries = soon(bus.subscribe(&orders("user"))).await.unwrap();
    let queues = queues(&place).await;
    let names: Vec<_> = queues.iter().map(|queue| queue["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["user", "user.dead"]);
    let arguments = &queues[0]["arguments"];
    assert_eq!(arguments["x-queue-type"], "quorum");
    assert_eq!(arguments["x-single-active-consumer"], true);
    assert_eq!(arguments["x-dead-letter-exchange"], "events.dead");
    assert_eq!(arguments["x-dead-letter-routing-key"], "user");
    assert_eq!(queues[1]["arguments"]["x-queue-type"], "quorum");
    deliveries.close().await;
}

#[tokio::test]
async fn the_queue_of_a_process_ends_with_it() {
    let place = Place::shared().await;
    let bus = place.bus();
    let cache = Subscription { scope: Scope::Process, ..orders("cache") };
    let mut first = soon(bus.subscribe(&cache)).await.unwrap();
    let mut second = soon(bus.subscribe(&cache)).await.unwrap();
    publish(&bus, &placed(3)).await.unwrap();
    assert_eq!(receive(&mut *first, 3).await, placed(3));
    assert_eq!(receive(&mut *second, 3).await, placed(3));

    first.close().await;
    drop(second);
    let gone = async {
        while queues(&place).await.len() > 1 {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    assert_eq!(queues(&place).await[0]["name"], "cache.dead");
}

#[tokio::test]
async fn a_queue_with_other_properties_is_named_with_the_difference() {
    let place = Place::shared().await;
    let channel = place.channel().await;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("user".into(), options, FieldTable::default()).await.unwrap();
    let why = misconfigured(soon(place.bus().subscribe(&orders("user"))).await);
    assert!(why.contains(r#"the queue "user" exists with other properties"#), "{why}");
    assert!(why.contains("x-queue-type") || why.contains("x-"), "{why}");
}

#[tokio::test]
async fn an_exchange_of_another_type_is_named_with_the_difference() {
    let place = Place::shared().await;
    let channel = place.channel().await;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let none = FieldTable::default();
    channel.exchange_declare("events".into(), ExchangeKind::Fanout, options, none).await.unwrap();
    let why = misconfigured(soon(place.bus().publisher()).await);
    assert!(why.contains(r#"the exchange "events" exists with other properties"#), "{why}");
    assert!(why.contains("'type'") && why.contains("fanout"), "{why}");
}
