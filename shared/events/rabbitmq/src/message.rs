//! Events as AMQP messages: the envelope as headers and the body.

use bytes::Bytes;
use gantry_events::{
    Event,
    envelope::{self, EnvelopeError, Message},
};
use lapin::{
    BasicProperties,
    message::Delivery,
    types::{AMQPValue, FieldTable, ShortString},
};

/// Delivery mode of a message that the broker keeps on disk (AMQP 0-9-1, class basic).
const PERSISTENT: u8 = 2;

/// Returns the properties and the body of an event's message.
pub(crate) fn write(event: &Event) -> Result<(BasicProperties, Bytes), EnvelopeError> {
    let Message { headers, body } = envelope::write(event)?;
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    let properties = BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(envelope::CONTENT_TYPE.into())
        .with_message_id(id(event))
        .with_headers(table);
    Ok((properties, body))
}

/// Returns the id of an event's message.
fn id(event: &Event) -> ShortString {
    event.id().to_string().into()
}

/// Returns the event of a message.
///
/// The routing key must be the event's kind: the broker lets each service publish its own keys only, so a
/// message with another kind speaks for a service that did not send it.
pub(crate) fn read(delivery: Delivery) -> Result<Event, String> {
    let Delivery { routing_key, properties, data, .. } = delivery;
    let none = FieldTable::default();
    let table = properties.headers().as_ref().unwrap_or(&none);
    let headers = table.inner().iter().map(|(name, value)| {
        let text = match value {
            AMQPValue::LongString(text) => Some(text.as_bytes()),
            _ => None,
        };
        (name.as_str(), text)
    });
    let event = envelope::read(headers, data.into()).map_err(|error| error.to_string())?;
    if routing_key.as_str() != event.kind {
        let routing_key = routing_key.as_str();
        return Err(format!("the routing key is {routing_key:?}: expected {:?}", event.kind));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use gantry_events::{Aggregate, Context};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;

    fn event() -> Event {
        Event {
            source: "order".to_owned(),
            aggregate: Aggregate::new("order", Uuid::from_u128(7)).unwrap(),
            sequence: 1,
            kind: "order.placed".to_owned(),
            schema: "shop.events.v1.OrderPlaced".to_owned(),
            time: OffsetDateTime::UNIX_EPOCH,
            context: Context { trace: None, request_id: Some("request-1".to_owned()) },
            data: Bytes::from_static(b"payload"),
        }
    }

    fn delivery(key: &str, properties: BasicProperties, body: &[u8]) -> Delivery {
        let mut delivery = Delivery::mock(1, "events".into(), key.into(), false, body.to_vec());
        delivery.properties = properties;
        delivery
    }

    #[test]
    fn an_event_survives_its_message() {
        let (properties, body) = write(&event()).unwrap();
        assert_eq!(properties.delivery_mode(), &Some(PERSISTENT));
        assert_eq!(properties.message_id(), &Some(event().id().to_string().into()));
        assert_eq!(read(delivery("order.placed", properties, &body)), Ok(event()));
    }

    #[test]
    fn a_message_with_another_routing_key_is_not_read() {
        let (properties, body) = write(&event()).unwrap();
        let why = read(delivery("user.registered", properties, &body)).unwrap_err();
        assert_eq!(why, r#"the routing key is "user.registered": expected "order.placed""#);
    }

    #[test]
    fn headers_of_the_broker_are_ignored() {
        let (mut properties, body) = write(&event()).unwrap();
        let mut table = properties.headers().clone().unwrap();
        table.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
        properties = properties.with_headers(table);
        assert_eq!(read(delivery("order.placed", properties, &body)), Ok(event()));
    }

    #[test]
    fn a_header_that_is_no_text_is_named() {
        let (mut properties, body) = write(&event()).unwrap();
        let mut table = properties.headers().clone().unwrap();
        table.insert(envelope::ID.into(), AMQPValue::LongLongInt(3));
        properties = properties.with_headers(table);
        let why = read(delivery("order.placed", properties, &body)).unwrap_err();
        assert!(why.contains(envelope::ID), "{why}");
    }

    #[test]
    fn a_message_without_headers_is_not_read() {
        let why = read(delivery("order.placed", BasicProperties::default(), b"")).unwrap_err();
        assert!(why.contains("missing"), "{why}");
    }
}
