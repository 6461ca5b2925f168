//! Events of an order. The order is rebuilt from them.

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Lines, Order, Price, RejectReason, Tier, UserId};

/// Event of an order. Contains ids and amounts, and no personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The draft was created.
    Created {
        /// Owner of the order.
        user: UserId,
        /// Tier of the owner at that time.
        tier: Tier,
        /// Ordered items.
        lines: Lines,
        /// Price without tax.
        price: Price,
    },
    /// The order was placed: a saga now completes or rejects it.
    Placed {
        /// Id of the saga.
        saga: Uuid,
        /// User who placed the order; `None` if a service placed it on its own behalf.
        by: Option<PlacedBy>,
        /// Final price.
        price: Price,
    },
    /// The order was confirmed: the goods are sold.
    Confirmed,
    /// The order was rejected.
    Rejected {
        /// Reason.
        reason: RejectReason,
    },
}

/// User who placed an order, with the roles at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedBy {
    /// The user's id.
    pub subject: String,
    /// Names of the user's roles.
    pub roles: Vec<String>,
}

/// Entry of an order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Version of the order after the event: 1 for the first.
    pub version: u64,
    /// Time of the event.
    pub at: OffsetDateTime,
    /// The event.
    pub event: Event,
}

/// Result of a command: an event to append to the history. Storage refuses it if the order's version
/// has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The order after the event, at the event's version.
    pub order: Order,
    /// The event.
    pub recorded: Recorded,
}
