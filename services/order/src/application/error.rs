//! Refusals of the use cases.

use gantry_contract::Scope;
use gantry_money::Money;
use gantry_sql::StorageError;

use super::{CatalogueError, CommitError, Unanswered, UsersError};
use crate::domain::{InvalidTransition, LinesError, OrderId, Sku, UserId};

/// Refusal of a use case.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The caller may act only on their own, and this is not theirs: it is somebody else's, or does
    /// not exist.
    #[error("the caller may do this only with an order of their own")]
    NotOwner,
    /// There is no such order.
    #[error("there is no order {0}")]
    OrderNotFound(OrderId),
    /// There is no such user.
    #[error("there is no user {0}")]
    UserNotFound(UserId),
    /// There are no such products.
    #[error("there are no products {}", names(.0))]
    ProductsNotFound(Vec<Sku>),
    /// The lines make no order.
    #[error(transparent)]
    Lines(#[from] LinesError),
    /// The order's status does not allow it.
    #[error(transparent)]
    Transition(#[from] InvalidTransition),
    /// The order has changed since the caller read it.
    #[error("the order has changed since it was read")]
    EtagMismatch,
    /// The total is not the one that the caller expects.
    #[error("the order costs {total}")]
    PriceChanged {
        /// The total.
        total: Money,
    },
    /// The user has as many open drafts as the service allows.
    #[error("the user has {max} open drafts, which is the most: place some, or wait")]
    TooManyDrafts {
        /// The most.
        max: u32,
    },
    /// The request id was used for another request.
    #[error("the request_id was used for another request")]
    RequestIdReused,
    /// A service that is needed gave no useful answer.
    #[error("{service}: {cause}")]
    Unanswered {
        /// Name of the service.
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
            // A use case that sends a request or a quota handles these two itself.
            CommitError::Repeated(_) | CommitError::TooManyDrafts => {
                let cause = format!("unexpected refusal: {error}");
                Self::Storage(StorageError::failed(cause))
            }
        }
    }
}

impl OrderError {
    /// Refusal of an order that the scope does not show. Does not tell a caller with a narrow scope
    /// whether the order exists.
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
