//! Messages that cannot be read.

use gantry_events::Bus;
use lapin::{
    BasicProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};

use crate::support::{Place, orders, placed, publish, receive, soon, take};

#[tokio::test]
async fn an_unreadable_message_goes_where_an_operator_finds_it() {
    let place = Place::shared().await;
    let bus = place.bus();
    let mut deliveries = soon(bus.subscribe(&orders("user"))).await.unwrap();
    let channel = place.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let options = BasicPublishOptions::default();
    let properties = BasicProperties::default().with_message_id("foreign".into());
    let sent = channel
        .basic_publish("events".into(), "order.placed".into(), options, b"nonsense", properties)
        .await;
    sent.unwrap().await.unwrap();
    publish(&bus, &placed(1)).await.unwrap();

    let delivery = soon(deliveries.next()).await.unwrap();
    let why = delivery.event.unwrap_err();
    assert!(why.contains("missing"), "{why}");
    deliveries.settle(delivery.tag).await.unwrap();
    assert_eq!(receive(&mut *deliveries, 1).await, placed(1));

    let dead = take(&channel, "user.dead").await;
    assert_eq!(dead.data, b"nonsense");
    assert_eq!(dead.properties.message_id().as_ref().unwrap().as_str(), "foreign");
}
