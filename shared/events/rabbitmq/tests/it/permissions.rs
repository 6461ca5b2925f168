//! A broker user per service: it publishes its own aggregates and reads its own queue, nothing else.

use gantry_events::{Bus, BusError, PublishFailure};
use gantry_events_rabbitmq::Settings;
use gantry_rabbitmq_broker::Permissions;

use crate::support::{Place, bus, event, misconfigured, orders, placed, receive, soon};

/// Returns the settings of the order service's user. An operator has created the exchanges.
async fn order_service(place: &Place<'_>) -> Settings {
    let operator = place.bus();
    soon(operator.subscribe(&orders("first"))).await.unwrap().close().await;
    let settings = place.add_user("order").await;
    let api = place.broker.api();
    let user = format!("order-{}", place.vhost);
    let permissions = Permissions {
        configure: r"^order(\..*)?$",
        write: r"^(events|events\.dead|order(\..*)?)$",
        read: r"^(events|events\.dead|order(\..*)?)$",
    };
    api.permit(&place.vhost, &user, permissions).await;
    api.permit_topics(&place.vhost, &user, "events", r"^order\.", ".*").await;
    settings
}

#[tokio::test]
async fn a_service_publishes_its_aggregates_and_reads_its_queue() {
    let place = Place::shared().await;
    let bus = bus(&order_service(&place).await);
    let mut deliveries = soon(bus.subscribe(&orders("order"))).await.unwrap();
    let mut publisher = soon(bus.publisher()).await.unwrap();
    soon(publisher.publish(&placed(3))).await.unwrap();
    assert_eq!(receive(&mut *deliveries, 3).await, placed(3));
}

#[tokio::test]
async fn a_service_cannot_publish_events_of_another() {
    let place = Place::shared().await;
    let bus = bus(&order_service(&place).await);
    let mut deliveries = soon(bus.subscribe(&orders("order"))).await.unwrap();
    let mut publisher = soon(bus.publisher()).await.unwrap();
    let events = [event("order.placed", 1, 1), event("user.deleted", 2, 1)];
    let error = soon(publisher.publish(&events)).await.unwrap_err();
    let PublishFailure::Bus(BusError::Misconfigured(why)) = error.cause else { panic!("{error}") };
    assert!(why.contains("user.deleted") && why.contains("topic permissions"), "{why}");
    // The first may or may not have been confirmed before the broker closed the channel.
    assert!(error.confirmed <= 1, "{}", error.confirmed);
    assert_eq!(receive(&mut *deliveries, 1).await, events[..1]);
}

#[tokio::test]
async fn a_service_cannot_read_the_queue_of_another() {
    let place = Place::shared().await;
    let settings = order_service(&place).await;
    soon(place.bus().subscribe(&orders("payment"))).await.unwrap().close().await;
    let why = misconfigured(soon(bus(&settings).subscribe(&orders("payment"))).await);
    assert!(why.contains(r#""payment"#) && why.contains("permissions"), "{why}");
}

#[tokio::test]
async fn a_missing_exchange_that_may_not_be_declared_is_named() {
    let place = Place::shared().await;
    let settings = place.add_user("order").await;
    let user = format!("order-{}", place.vhost);
    let permissions = Permissions { configure: "^order", write: ".*", read: ".*" };
    place.broker.api().permit(&place.vhost, &user, permissions).await;
    let why = misconfigured(soon(bus(&settings).publisher()).await);
    assert!(why.contains(r#"may not declare or use the exchange "events""#), "{why}");
}
