//! What happens to an order: the truth from which it is rebuilt.

use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::{Lines, Order, Price, RejectReason, Tier, UserId};

/// Something that happened to an order. Holds ids and amounts, nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A draft was made.
    Created {
        /// Whose it is.
        user: UserId,
        /// The user's tier at that time.
        tier: Tier,
        /// What is ordered.
        lines: Lines,
        /// What it costs, without tax.
        price: Price,
    },
    /// It was placed: from now on it is carried through.
    Placed {
        /// The saga that carries it through.
        saga: Uuid,
        /// Who placed it; nobody where a service did so on its own account.
        by: Option<PlacedBy>,
        /// What it costs in the end.
        price: Price,
    },
    /// It was sold.
    Confirmed,
    /// It was not possible.
    Rejected {
        /// Why.
        reason: RejectReason,
    },
}

/// Who placed an order, as they were known then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedBy {
    /// The user's id.
    pub subject: String,
    /// The names of the user's roles.
    pub roles: Vec<String>,
}

/// An event in an order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The order's version after it: 1 for the first.
    pub version: u64,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub event: Event,
}

/// What a command makes of an order: to be appended to its history if it still stands
/// where it stood, and not at all otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The order after it. Its version is the event's.
    pub order: Order,
    /// What happened.
    pub recorded: Recorded,
}
