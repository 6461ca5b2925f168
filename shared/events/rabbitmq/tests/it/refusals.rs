//! A broker that refuses what an operator has configured.

use gantry_events::{Bus, PublishFailure};
use gantry_events_rabbitmq::RabbitMq;

use crate::support::{
    Place, bus, misconfigured, orders, placed, publish, receive, soon, unavailable,
};

#[tokio::test]
async fn a_wrong_password_names_the_user_and_the_setting() {
    let place = Place::shared().await;
    let file = place.write_password("wrong", "hunter2");
    let bus = bus(&place.settings().password_file(file));
    let why = misconfigured(soon(bus.publisher()).await);
    assert!(why.contains(r#"refuses the user "gantry" or its password"#), "{why}");
    assert!(why.contains("events.rabbitmq.password_file"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
}

#[tokio::test]
async fn a_password_can_be_changed_without_a_restart() {
    let place = Place::shared().await;
    let file = place.write_password("wrong", "hunter2");
    let bus = bus(&place.settings().password_file(file));
    misconfigured(soon(bus.publisher()).await);
    place.write_password("wrong", gantry_rabbitmq_broker::ADMIN_PASSWORD);
    soon(bus.publisher()).await.unwrap();
}

#[tokio::test]
async fn a_missing_virtual_host_is_named() {
    let place = Place::shared().await;
    let bus = bus(&place.settings().url(place.broker.url("nowhere")));
    let why = misconfigured(soon(bus.publisher()).await);
    assert!(why.contains(r#"the virtual host "nowhere""#), "{why}");
    assert!(why.contains("not found") && why.contains("events.rabbitmq.url"), "{why}");
}

#[tokio::test]
async fn a_user_without_access_to_the_virtual_host_is_named() {
    let place = Place::shared().await;
    let settings = place.add_user("stranger").await;
    let why = misconfigured(soon(bus(&settings).publisher()).await);
    assert!(why.contains(&place.vhost) && why.contains("stranger"), "{why}");
}

#[tokio::test]
async fn a_broker_that_is_away_is_unavailable() {
    let place = Place::shared().await;
    // The port of nobody.
    let bus = bus(&place.settings().url("amqp://gantry@127.0.0.1:1"));
    let why = unavailable(soon(bus.publisher()).await);
    assert!(why.contains("no connection to the broker at 127.0.0.1:1"), "{why}");
}

#[tokio::test]
async fn a_publisher_waits_for_the_required_queues() {
    let place = Place::shared().await;
    let required = vec!["notification".to_owned()];
    let bus = RabbitMq::new("test", &place.settings(), required).unwrap();
    let why = unavailable(soon(bus.publisher()).await);
    assert!(why.contains(r#"the queue "notification" of events.required_queues"#), "{why}");

    let mut deliveries = soon(bus.subscribe(&orders("notification"))).await.unwrap();
    publish(&bus, &placed(2)).await.unwrap();
    assert_eq!(receive(&mut *deliveries, 2).await, placed(2));
}

/// The broker confirms a message that no queue takes.
#[tokio::test]
async fn an_event_without_a_queue_is_refused_and_not_lost() {
    let place = Place::shared().await;
    let bus = place.bus();
    let mut deliveries = soon(bus.subscribe(&orders("user"))).await.unwrap();
    let mut events = placed(10);
    events[4] = crate::support::event("user.registered", 7, 1);

    let error = publish(&bus, &events).await.unwrap_err();
    assert_eq!(error.confirmed, 4);
    let PublishFailure::Refused(why) = error.cause else { panic!("{error}") };
    assert!(why.starts_with("user.registered of user/"), "{why}");
    assert!(why.contains("no queue takes it yet (312 NO_ROUTE)"), "{why}");
    assert_eq!(receive(&mut *deliveries, 4).await, events[..4]);
}

#[tokio::test]
async fn an_event_above_the_envelopes_limit_is_refused() {
    let place = Place::shared().await;
    let bus = place.bus();
    let mut deliveries = soon(bus.subscribe(&orders("user"))).await.unwrap();
    let mut events = placed(3);
    events[2].data = vec![0; gantry_events::envelope::MAX_DATA + 1].into();
    let error = publish(&bus, &events).await.unwrap_err();
    assert_eq!(error.confirmed, 2);
    assert!(matches!(error.cause, PublishFailure::Refused(_)), "{error}");
    assert_eq!(receive(&mut *deliveries, 2).await, events[..2]);
}
