//! Errors of the use cases.

use gantry_contract::Scope;
use gantry_money::Money;
use gantry_sql::StorageError;

use super::{CatalogueError, CommitError, Unanswered, UsersError};
use crate::domain::{InvalidTransition, LinesError, OrderId, Sku, UserId};

/// Error of a use case. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The caller may act only on their own orders, and the order is another user's or does not exist.
    #[error("the caller may do this only with an order of their own")]
    NotOwner,
    /// No order has this id.
    #[error("no order has the id {0}")]
    OrderNotFound(OrderId),
    /// No user has this id.
    #[error("no user has the id {0}")]
    UserNotFound(UserId),
    /// No products have these SKUs.
    #[error("no products have the SKUs {}", names(.0))]
    ProductsNotFound(Vec<Sku>),
    /// The lines cannot form an order.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// The order's status does not allow the change.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// The order has changed since the caller read it.
    #[error("the order has changed since it was read")]
    EtagMismatch,
    /// The caller expects another total.
    #[error("the total of the order is {total}")]
    PriceChanged {
        /// Total of the order.
        total: Money,
    },
    /// The user has as many open drafts as the service allows.
    #[error("the user has {max} open drafts, which is the maximum: place some, or wait")]
    TooManyDrafts {
        /// Maximum number of open drafts.
        max: u32,
    },
    /// The request id was used for another request.
    #[error("the request_id was used for another request")]
    RequestIdReused,
    /// A called service gave no usable response.
    #[error("{service}: {cause}")]
    Unanswered {
        /// Name of the called service.
        service: &'static str,
        /// Kind of the failure.
        cause: Unanswered,
    },
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<CommitError> for OrderError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Stale => Self::EtagMismatch,
            CommitError::Reused => Self::RequestIdReused,
            CommitError::Storage(error) => Self::Storage(error),
            // Use cases that write a request or a quota handle these two errors themselves.
            CommitError::Repeated(_) | CommitError::TooManyDrafts => {
                let cause = format!("unexpected refusal: {error}");
                Self::Storage(StorageError::failed(cause))
            }
        }
    }
}

impl OrderError {
    /// Creates the error of an order outside of `scope`. Does not reveal to a caller with a narrow scope
    /// that the order exists.
    pub(super) fn of_unseen(id: OrderId, scope: &Scope) -> Self {
        match scope {
            Scope::All => Self::OrderNotFound(id),
            Scope::Own(_) => Self::NotOwner,
        }
    }

    pub(super) fn of_users(error: UsersError, id: UserId) -> Self {
        match error {
            UsersError::NotFound => Self::UserNotFound(id),
            UsersError::Unanswered(cause) => Self::Unanswered { service: "user", cause },
        }
    }

    pub(super) fn of_catalogue(error: CatalogueError) -> Self {
        match error {
            CatalogueError::NotFound(skus) => Self::ProductsNotFound(skus),
            CatalogueError::Unanswered(cause) => Self::Unanswered { service: "inventory", cause },
        }
    }
}

fn names(skus: &[Sku]) -> String {
    skus.iter().map(Sku::as_str).collect::<Vec<_>>().join(", ")
}
