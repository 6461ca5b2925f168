//! Message of a mail.

use gantry_money::Money;
use uuid::Uuid;

/// Message of a mail: ids and amounts, and nothing personal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The user was registered.
    Welcome,
    /// An order was confirmed.
    OrderConfirmed {
        /// The order's id.
        order: Uuid,
        /// Its final total.
        total: Money,
    },
    /// An order was rejected.
    OrderRejected {
        /// The order's id.
        order: Uuid,
        /// Reason for the rejection.
        reason: RejectReason,
    },
}

impl Notice {
    /// Returns the name of its kind, for logs and tables.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::OrderConfirmed { .. } => "order_confirmed",
            Self::OrderRejected { .. } => "order_rejected",
        }
    }
}

/// Reason for the rejection of an order, in the buyer's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// A product is out of stock.
    OutOfStock,
    /// A product is no longer sold.
    ProductGone,
    /// The account may not order.
    AccountNotActive,
    /// A fault of the shop.
    Fault,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 4] =
        [Self::OutOfStock, Self::ProductGone, Self::AccountNotActive, Self::Fault];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => "OUT_OF_STOCK",
            Self::ProductGone => "PRODUCT_GONE",
            Self::AccountNotActive => "ACCOUNT_NOT_ACTIVE",
            Self::Fault => "FAULT",
        }
    }

    /// Parses a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Returns the sentence for the buyer.
    pub(super) fn sentence(self) -> &'static str {
        match self {
            Self::OutOfStock => "One of the products is out of stock.",
            Self::ProductGone => "One of the products is no longer sold.",
            Self::AccountNotActive => "Your account cannot place orders at the moment.",
            Self::Fault => "A fault on our side prevented it. Please try again.",
        }
    }
}
