//! Table of the events between services.

use prost::Message;

use crate::shop::events::v1::{
    OrderCancelled, OrderCompleted, OrderConfirmed, OrderCreated, OrderPlaced, OrderRejected,
    OrderShipped, PaymentCharged, PaymentRefunded, ShipmentCancelled, ShipmentCreated,
    ShipmentDelivered, ShipmentShipped, StockReleased, StockReserved, StockReturned, UserActivated,
    UserActivationRequested, UserDeactivated, UserDeleted, UserEmailChangeRequested,
    UserPasswordResetRequested, UserRegistered, UserRolesChanged, UserUpdated,
};

/// Type of an event, and the message of its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType {
    /// Type: the aggregate's kind, a dot and a name, such as `order.placed`.
    pub kind: &'static str,
    /// Full name of the payload's message, such as `shop.events.v1.OrderPlaced`.
    pub schema: &'static str,
}

/// Payload of an event between services.
pub trait EventPayload: Message + Default {
    /// Type of its event.
    const TYPE: EventType;
}

/// Lists all events, and declares the type of each payload.
macro_rules! events {
    ($($kind:literal => $message:ident,)*) => {
        /// All events of `shop.events.v1`, by type.
        pub const EVENTS: &[EventType] = &[$($message::TYPE),*];

        $(impl EventPayload for $message {
            const TYPE: EventType = EventType {
                kind: $kind,
                schema: concat!("shop.events.v1.", stringify!($message)),
            };
        })*
    };
}

events! {
    "order.cancelled" => OrderCancelled,
    "order.completed" => OrderCompleted,
    "order.confirmed" => OrderConfirmed,
    "order.created" => OrderCreated,
    "order.placed" => OrderPlaced,
    "order.rejected" => OrderRejected,
    "order.shipped" => OrderShipped,
    "payment.charged" => PaymentCharged,
    "payment.refunded" => PaymentRefunded,
    "shipment.cancelled" => ShipmentCancelled,
    "shipment.created" => ShipmentCreated,
    "shipment.delivered" => ShipmentDelivered,
    "shipment.shipped" => ShipmentShipped,
    "stock.released" => StockReleased,
    "stock.reserved" => StockReserved,
    "stock.returned" => StockReturned,
    "user.activated" => UserActivated,
    "user.activation_requested" => UserActivationRequested,
    "user.deactivated" => UserDeactivated,
    "user.deleted" => UserDeleted,
    "user.email_change_requested" => UserEmailChangeRequested,
    "user.password_reset_requested" => UserPasswordResetRequested,
    "user.registered" => UserRegistered,
    "user.roles_changed" => UserRolesChanged,
    "user.updated" => UserUpdated,
}
