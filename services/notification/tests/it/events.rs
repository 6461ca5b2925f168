//! Mails that events cause.

use gantry_events::{Aggregate, Context, Event};
use gantry_notification::{
    application::{Cause, MailId},
    domain::{Notice, RejectReason},
    inbound::events::mail,
};
use gantry_proto::{
    EVENTS, EventPayload,
    google::r#type::Money,
    shop::{
        events::v1::{OrderConfirmed, OrderRejected, UserRegistered},
        order::v1::RejectReason as Reason,
    },
};
use time::macros::datetime;
use uuid::Uuid;

use crate::support::{ANN, euros};

const ORDER: Uuid = Uuid::from_u128(0xb);

fn event<P: EventPayload>(payload: &P) -> Event {
    raw(P::TYPE.kind, P::TYPE.schema, payload.encode_to_vec())
}

fn raw(kind: &str, schema: &str, data: Vec<u8>) -> Event {
    let aggregate = kind.split_once('.').unwrap().0;
    Event {
        source: aggregate.to_owned(),
        aggregate: Aggregate::new(aggregate, ORDER).unwrap(),
        sequence: 3,
        kind: kind.to_owned(),
        schema: schema.to_owned(),
        time: datetime!(2026-01-02 03:04:05 UTC),
        context: Context { trace: None, request_id: Some("r-1".to_owned()) },
        data: data.into(),
    }
}

fn confirmed() -> OrderConfirmed {
    let total = Money { currency_code: "EUR".to_owned(), units: 12, nanos: 300_000_000 };
    OrderConfirmed {
        order_id: ORDER.to_string(),
        user_id: ANN.to_string(),
        total: Some(total),
        saga_id: ORDER.to_string(),
    }
}

#[test]
fn a_mail_has_the_id_and_the_context_of_its_event() {
    let event = event(&UserRegistered { user_id: ANN.to_string(), ..UserRegistered::default() });
    let mail = mail(&event).unwrap().unwrap();
    assert_eq!((mail.id, mail.user, mail.notice), (MailId(event.id()), ANN, Notice::Welcome));
    assert_eq!(mail.cause, Cause { trace: None, request_id: Some("r-1".to_owned()) });
}

#[test]
fn outcomes_of_orders_are_told() {
    let mail_of = |event| mail(&event).unwrap().unwrap().notice;
    let total = euros(12_30);
    assert_eq!(mail_of(event(&confirmed())), Notice::OrderConfirmed { order: ORDER, total });
    let OrderConfirmed { order_id, user_id, total, saga_id } = confirmed();
    let mut rejected = OrderRejected { order_id, user_id, total, saga_id, reason: 0 };
    rejected.set_reason(Reason::InsufficientStock);
    let reason = RejectReason::OutOfStock;
    assert_eq!(mail_of(event(&rejected)), Notice::OrderRejected { order: ORDER, reason });
    // A reason of a later release.
    rejected.reason = 77;
    let reason = RejectReason::Fault;
    assert_eq!(mail_of(event(&rejected)), Notice::OrderRejected { order: ORDER, reason });
}

#[test]
fn other_events_cause_no_mail() {
    let told = ["user.registered", "order.confirmed", "order.rejected"];
    for kind in EVENTS.iter().map(|event| event.kind).chain(["order.of_a_later_release"]) {
        let event = raw(kind, "shop.events.v1.Unknown", vec![0xff]);
        // The bytes are no message: only payloads of interest are read.
        assert_eq!(mail(&event).is_err(), told.contains(&kind), "{kind}");
        assert!(told.contains(&kind) || mail(&event).unwrap().is_none(), "{kind}");
    }
}

#[test]
fn a_payload_that_breaks_the_contract_is_named() {
    let ann = UserRegistered { user_id: "ann".to_owned(), ..UserRegistered::default() };
    let error = mail(&event(&ann)).unwrap_err();
    assert_eq!(error.to_string(), "user.registered: user_id must be a UUID");
    let error = mail(&event(&OrderConfirmed { total: None, ..confirmed() })).unwrap_err();
    assert!(error.to_string().starts_with("order.confirmed: total.currency_code"), "{error}");
}
