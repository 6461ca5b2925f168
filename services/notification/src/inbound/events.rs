//! Conversion of events to mails.

use gantry_common::money;
use gantry_contract::{Validate, Violations};
use gantry_events::Event;
use gantry_proto::{
    EventPayload,
    shop::{
        events::v1::{OrderConfirmed, OrderRejected, UserRegistered},
        order::v1::RejectReason as Reason,
    },
};
use uuid::Uuid;

use crate::{
    application::{Cause, MailId, NewMail},
    domain::{Notice, RejectReason},
};

/// Kinds of aggregates whose events are consumed.
pub const AGGREGATES: [&str; 2] = ["user", "order"];

/// A payload that breaks the contract.
#[derive(Debug, thiserror::Error)]
#[error("{kind}: {why}")]
pub struct UnreadableEvent {
    kind: String,
    why: String,
}

/// Returns the mail that an event causes, if it causes one.
///
/// # Errors
/// [`UnreadableEvent`].
pub fn mail(event: &Event) -> Result<Option<NewMail>, UnreadableEvent> {
    let kind = event.kind.as_str();
    let (user, notice) = if kind == UserRegistered::TYPE.kind {
        (payload::<UserRegistered>(event)?.user_id, Notice::Welcome)
    } else if kind == OrderConfirmed::TYPE.kind {
        let confirmed: OrderConfirmed = payload(event)?;
        let total = money("total", &confirmed.total.unwrap_or_default());
        let total = total.map_err(|violations| invalid(event, &violations))?;
        let order = id(event, &confirmed.order_id)?;
        (confirmed.user_id, Notice::OrderConfirmed { order, total })
    } else if kind == OrderRejected::TYPE.kind {
        let rejected: OrderRejected = payload(event)?;
        let (order, reason) = (id(event, &rejected.order_id)?, reason(rejected.reason()));
        (rejected.user_id, Notice::OrderRejected { order, reason })
    } else {
        return Ok(None);
    };
    let user = id(event, &user)?;
    let cause =
        Cause { trace: event.context.trace.clone(), request_id: event.context.request_id.clone() };
    Ok(Some(NewMail { id: MailId(event.id()), user, notice, cause }))
}

/// Decodes and validates the payload.
fn payload<P: EventPayload + Validate>(event: &Event) -> Result<P, UnreadableEvent> {
    let payload = P::decode(event.data.clone()).map_err(|error| unreadable(event, &error))?;
    match payload.check() {
        Ok(()) => Ok(payload),
        Err(violations) => Err(invalid(event, &violations)),
    }
}

fn id(event: &Event, text: &str) -> Result<Uuid, UnreadableEvent> {
    Uuid::try_parse(text).map_err(|error| unreadable(event, &error))
}

/// A reason that this release does not know is a fault of the shop to the buyer.
fn reason(reason: Reason) -> RejectReason {
    match reason {
        Reason::InsufficientStock => RejectReason::OutOfStock,
        Reason::ProductNotFound => RejectReason::ProductGone,
        Reason::UserNotActive | Reason::UserNotFound => RejectReason::AccountNotActive,
        Reason::ServiceUnavailable | Reason::Unspecified => RejectReason::Fault,
    }
}

fn invalid(event: &Event, violations: &Violations) -> UnreadableEvent {
    let rules = violations.iter().map(|broken| format!("{} {}", broken.field, broken.description));
    unreadable(event, &rules.collect::<Vec<_>>().join(", "))
}

fn unreadable(event: &Event, why: &(impl ToString + ?Sized)) -> UnreadableEvent {
    UnreadableEvent { kind: event.kind.clone(), why: why.to_string() }
}
