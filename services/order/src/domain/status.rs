//! Where an order stands, and what may come next: the only place that knows.

use std::fmt;

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Being put together.
    Draft,
    /// Being carried through.
    Placed,
    /// Sold.
    Confirmed,
    /// On its way.
    Shipped,
    /// With the customer.
    Completed,
    /// Called off.
    Cancelled,
    /// Not possible.
    Rejected,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Placed,
        Self::Confirmed,
        Self::Shipped,
        Self::Completed,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// Whether an order that stands here may come to stand at `next`.
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

    /// As people and databases read it.
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

/// Why an order was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// No user has the order's user id.
    UserNotFound,
    /// The user may not order.
    UserNotActive,
    /// A product is not in the catalogue.
    ProductNotFound,
    /// Too little is in stock.
    InsufficientStock,
    /// A service that is needed did not answer in time.
    ServiceUnavailable,
}

impl RejectReason {
    /// Every reason.
    pub const ALL: [Self; 5] = [
        Self::UserNotFound,
        Self::UserNotActive,
        Self::ProductNotFound,
        Self::InsufficientStock,
        Self::ServiceUnavailable,
    ];

    /// As it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::UserNotActive => "USER_NOT_ACTIVE",
            Self::ProductNotFound => "PRODUCT_NOT_FOUND",
            Self::InsufficientStock => "INSUFFICIENT_STOCK",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
        }
    }

    /// The reason that is stored like this.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_agreed_transitions_are_allowed() {
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
    fn reasons_are_read_back() {
        for reason in RejectReason::ALL {
            assert_eq!(RejectReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(RejectReason::parse("NO"), None);
    }
}
