//! Statuses of orders and the transitions between them.

use std::fmt;

/// Status of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Created, not yet placed.
    Draft,
    /// Placed: its saga is running.
    Placed,
    /// Confirmed: the goods are sold.
    Confirmed,
    /// Handed to the carrier. Not reached yet.
    Shipped,
    /// Delivered. Not reached yet.
    Completed,
    /// Cancelled. Not reached yet.
    Cancelled,
    /// Rejected by the saga.
    Rejected,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Placed,
        Self::Confirmed,
        Self::Shipped,
        Self::Completed,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// Returns true if an order of this status may change to `next`.
    pub fn may_become(self, next: Self) -> bool {
        use Status::{Cancelled, Completed, Confirmed, Draft, Placed, Rejected, Shipped};
        matches!(
            (self, next),
            (Draft, Placed | Cancelled)
                | (Placed, Confirmed | Rejected)
                | (Confirmed, Shipped | Cancelled)
                | (Shipped, Completed)
        )
    }

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Placed => "PLACED",
            Self::Confirmed => "CONFIRMED",
            Self::Shipped => "SHIPPED",
            Self::Completed => "COMPLETED",
            Self::Cancelled => "CANCELLED",
            Self::Rejected => "REJECTED",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Reason for rejecting an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No user has the order's user id.
    UserNotFound,
    /// The user may not place orders.
    UserNotActive,
    /// A product is not in the catalogue.
    ProductNotFound,
    /// A product has too little stock.
    InsufficientStock,
    /// A called service did not respond in time.
    ServiceUnavailable,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::UserNotFound,
        Self::UserNotActive,
        Self::ProductNotFound,
        Self::InsufficientStock,
        Self::ServiceUnavailable,
    ];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::UserNotActive => "USER_NOT_ACTIVE",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }

    /// Parses a stored name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_transitions_are_allowed() {
        let allowed: Vec<String> = Status::ALL
            .into_iter()
            .flat_map(|from| Status::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from.may_become(*to))
            .map(|(from, to)| format!("{from} {to}"))
            .collect();
        assert_eq!(
            allowed,
            [
                "DRAFT PLACED",
                "DRAFT CANCELLED",
                "PLACED CONFIRMED",
                "PLACED REJECTED",
                "CONFIRMED SHIPPED",
                "CONFIRMED CANCELLED",
                "SHIPPED COMPLETED",
            ]
        );
    }

    #[test]
    fn stored_reasons_parse_back() {
        for reason in RejectReason::ALL {
            assert_eq!(RejectReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(RejectReason::parse("NO"), None);
    }
}
