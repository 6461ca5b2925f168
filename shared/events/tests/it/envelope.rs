//! Round trips, and precise refusals.

use bytes::Bytes;
use gantry_events::{
    Aggregate, Context, Event,
    envelope::{self, EnvelopeError, MAX_DATA, Message},
};
use proptest::prelude::*;
use time::{OffsetDateTime, UtcOffset, macros::datetime};
use uuid::Uuid;

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn event() -> Event {
    Event {
        source: "order".to_owned(),
        aggregate: Aggregate::new("order", Uuid::from_u128(7)).unwrap(),
        sequence: 3,
        kind: "order.placed".to_owned(),
        schema: "shop.events.v1.OrderPlaced".to_owned(),
        time: datetime!(2026-01-02 03:04:05.678901 UTC),
        context: Context {
            trace: Some(TRACE.to_owned()),
            request_id: Some("0198c5f2-1:2/3".to_owned()),
        },
        data: Bytes::from_static(b"payload"),
    }
}

/// Reads the event's message with one header changed, or left out.
fn read_with(header: &str, value: Option<&[u8]>) -> Result<Event, String> {
    let Message { headers, body } = envelope::write(&event()).unwrap();
    assert!(headers.iter().any(|(name, _)| *name == header), "{header}");
    let headers = headers.iter().filter_map(|(name, own)| {
        let value = if *name == header { value? } else { own.as_bytes() };
        Some((*name, Some(value)))
    });
    envelope::read(headers, body).map_err(|error| error.to_string())
}

#[test]
fn an_event_is_read_as_it_was_written() {
    let event = event();
    let message = envelope::write(&event).unwrap();
    let headers: Vec<_> =
        message.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let id = event.id().to_string();
    assert_eq!(
        headers,
        [
            ("cloudEvents_specversion", "1.0"),
            ("cloudEvents_id", id.as_str()),
            ("cloudEvents_source", "order"),
            ("cloudEvents_type", "order.placed"),
            ("cloudEvents_subject", "order/00000000-0000-0000-0000-000000000007"),
            ("cloudEvents_sequence", "3"),
            ("cloudEvents_time", "2026-01-02T03:04:05.678901Z"),
            ("cloudEvents_datacontenttype", "application/protobuf"),
            ("cloudEvents_dataschema", "proto:shop.events.v1.OrderPlaced"),
            ("traceparent", TRACE),
            ("x-request-id", "0198c5f2-1:2/3"),
        ]
    );
    assert_eq!(Event::try_from(message), Ok(event));
}

#[test]
fn headers_of_the_broker_are_ignored() {
    let Message { headers, body } = envelope::write(&event()).unwrap();
    let own = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
    let foreign = [("x-death", None), ("x-delivery-count", Some(&b"\xff"[..]))];
    assert_eq!(envelope::read(own.chain(foreign), body), Ok(event()));
}

#[test]
fn a_wrong_header_is_named_with_what_was_expected() {
    let long = "x".repeat(300);
    for (header, value, reason) in [
        ("cloudEvents_specversion", "2.0", "is \"2.0\": expected 1.0"),
        ("cloudEvents_datacontenttype", "text/plain", "expected application/protobuf"),
        ("cloudEvents_source", "Order", "expected a service"),
        ("cloudEvents_source", "", "expected a service"),
        ("cloudEvents_type", "user.placed", "expected the kind of the subject"),
        ("cloudEvents_type", "order.", "expected the kind of the subject"),
        ("cloudEvents_subject", "order", "expected a kind of lower-case letters, a slash"),
        ("cloudEvents_subject", "order/00000000000000000000000000000007", "lower-case UUID"),
        ("cloudEvents_sequence", "0", "expected a number from 1"),
        ("cloudEvents_sequence", "+3", "expected a number from 1"),
        ("cloudEvents_sequence", "03", "expected a number from 1"),
        ("cloudEvents_sequence", "9223372036854775808", "expected a number from 1"),
        ("cloudEvents_time", "yesterday", "expected a time of RFC 3339 in UTC"),
        ("cloudEvents_time", "2026-01-02T03:04:05+01:00", "expected a time of RFC 3339 in UTC"),
        ("cloudEvents_dataschema", "OrderPlaced", "expected proto:"),
        ("cloudEvents_dataschema", "proto:shop..Order", "expected proto:"),
        ("cloudEvents_id", "7", "the id that follows from source, subject and sequence"),
        ("cloudEvents_id", "00000000-0000-0000-0000-000000000007", "the id that follows"),
        ("traceparent", "00-0-0-01", "expected a traceparent"),
        ("traceparent", "", "expected a traceparent"),
        ("x-request-id", "a\nb", "is \"a\\nb\": expected 1 to 128 letters"),
        ("x-request-id", &long, "...: expected at most 255 bytes"),
    ] {
        let error = read_with(header, Some(value.as_bytes())).unwrap_err();
        assert!(error.starts_with(&format!("header {header} ")), "{error}");
        assert!(error.contains(reason), "{header} {value}: {error}");
        assert!(error.len() < 250, "{error}");
    }
    let error = read_with("cloudEvents_source", Some(b"\xff")).unwrap_err();
    assert!(error.contains("expected UTF-8"), "{error}");
}

#[test]
fn only_the_context_may_be_missing() {
    let Message { headers, .. } = envelope::write(&event()).unwrap();
    for (header, _) in headers {
        let read = read_with(header, None);
        if header.starts_with("cloudEvents_") {
            assert_eq!(read.unwrap_err(), format!("header {header} is missing"));
        } else {
            assert_eq!(read.unwrap().id(), event().id());
        }
    }
}

#[test]
fn a_header_has_one_value_of_text() {
    let Message { headers, body } = envelope::write(&event()).unwrap();
    let own = headers.iter().map(|(name, value)| (*name, Some(value.as_bytes())));
    let twice = own.clone().chain([("cloudEvents_source", Some(&b"user"[..]))]);
    let error = envelope::read(twice, body.clone()).unwrap_err();
    assert_eq!(error, EnvelopeError::Repeated("cloudEvents_source"));
    let number = own.map(|(name, value)| (name, value.filter(|_| name != "cloudEvents_sequence")));
    let error = envelope::read(number, body).unwrap_err().to_string();
    assert_eq!(error, "header cloudEvents_sequence is not text: expected text");
}

#[test]
fn the_payload_has_a_limit_in_both_directions() {
    let largest = Event { data: vec![1; MAX_DATA].into(), ..event() };
    let message = envelope::write(&largest).unwrap();
    assert_eq!(Event::try_from(message.clone()), Ok(largest));
    let data = Bytes::from(vec![1; MAX_DATA + 1]);
    let larger = Event { data: data.clone(), ..event() };
    let refused = EnvelopeError::TooLarge(MAX_DATA + 1);
    assert_eq!(envelope::write(&larger), Err(refused.clone()));
    assert_eq!(Event::try_from(Message { body: data, ..message }), Err(refused));
}

#[test]
fn writing_refuses_what_no_consumer_would_read() {
    let far = OffsetDateTime::from_unix_timestamp(253_402_300_799).unwrap();
    let west = far.to_offset(UtcOffset::from_hms(-1, 0, 0).unwrap());
    assert!(envelope::write(&Event { time: west, ..event() }).is_ok());
    for wrong in [
        Event { source: "a b".to_owned(), ..event() },
        Event { sequence: 0, ..event() },
        Event { kind: "placed".to_owned(), ..event() },
        Event { schema: String::new(), ..event() },
        Event { time: datetime!(-0001-01-01 00:00 UTC), ..event() },
    ] {
        assert!(matches!(envelope::write(&wrong), Err(EnvelopeError::Wrong { .. })), "{wrong:?}");
    }
}

#[test]
fn a_context_that_nobody_would_read_is_left_out() {
    let context = Context { trace: Some("none".to_owned()), request_id: Some("ä".to_owned()) };
    let written = envelope::write(&Event { context, ..event() }).unwrap();
    assert_eq!(Event::try_from(written).unwrap().context, Context::default());
}

fn any_event() -> impl Strategy<Value = Event> {
    (
        "[a-z0-9-]{1,63}",
        "[a-z]{1,63}",
        any::<u128>(),
        1..=i64::MAX,
        "[a-z_]{1,100}",
        "[A-Za-z][A-Za-z0-9_]{0,9}(\\.[A-Za-z][A-Za-z0-9_]{0,9}){0,5}",
        (0..253_402_300_799_i64, 0..1_000_000_000_u32),
        proptest::option::of("[A-Za-z0-9_.:/+=-]{1,128}"),
        proptest::collection::vec(any::<u8>(), 0..1000),
    )
        .prop_map(
            |(source, kind, id, sequence, name, schema, (seconds, nanos), request_id, data)| {
                let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap();
                Event {
                    source,
                    aggregate: Aggregate::new(kind.clone(), Uuid::from_u128(id)).unwrap(),
                    sequence,
                    kind: format!("{kind}.{name}"),
                    schema,
                    time: time.replace_nanosecond(nanos).unwrap(),
                    context: Context { trace: None, request_id },
                    data: data.into(),
                }
            },
        )
}

/// Value of a header that anybody may have written: often nearly right.
fn any_value(right: String) -> impl Strategy<Value = Option<Vec<u8>>> {
    let bytes = right.clone().into_bytes();
    prop_oneof![
        6 => Just(Some(right.into_bytes())),
        1 => Just(None),
        1 => any::<Vec<u8>>().prop_map(Some),
        1 => any::<String>().prop_map(|text| Some(text.into_bytes())),
        1 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(move |(place, byte)| {
            let mut bytes = bytes.clone();
            let place = place.index(bytes.len());
            bytes[place] = byte;
            Some(bytes)
        }),
    ]
}

fn any_headers() -> impl Strategy<Value = Vec<(String, Option<Vec<u8>>)>> {
    let right = envelope::write(&event()).unwrap().headers;
    let ours: Vec<_> =
        right.into_iter().map(|(name, value)| (Just(name.to_owned()), any_value(value))).collect();
    let foreign = proptest::collection::vec((any::<String>(), any::<Option<Vec<u8>>>()), 0..4);
    (ours, foreign).prop_map(|(ours, foreign)| ours.into_iter().chain(foreign).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_event_survives_the_envelope(event in any_event()) {
        let message = envelope::write(&event).unwrap();
        prop_assert!(message.headers.iter().all(|(_, value)| value.len() <= envelope::MAX_HEADER));
        prop_assert_eq!(Event::try_from(message), Ok(event));
    }

    #[test]
    fn what_is_read_from_any_headers_can_be_written(headers in any_headers(), body: Vec<u8>) {
        let given = headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        match envelope::read(given, body.into()) {
            Ok(event) => {
                let message = envelope::write(&event).unwrap();
                prop_assert_eq!(Event::try_from(message), Ok(event));
            }
            Err(error) => prop_assert!(error.to_string().starts_with("header "), "{}", error),
        }
    }
}
