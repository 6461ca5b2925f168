//! Errors of the use cases.

use gantry_sql::StorageError;

use crate::domain::UserId;

/// Error of a use case. Nothing was written. No variant contains an address, a password or a token.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// The caller may act only on their own data.
    #[error("only an administrator may do this")]
    NotOwner,
    /// No user has this id.
    #[error("no user has the id {0}")]
    NotFound(UserId),
    /// A user with this address exists.
    #[error("a user with this e-mail address exists")]
    EmailTaken,
    /// The request id was used for another request.
    #[error("the request_id was used for another request")]
    RequestIdReused,
    /// The address or the password is wrong. The caller does not learn which.
    #[error("the e-mail address or the password is wrong")]
    BadCredentials,
    /// The password is right, but the user may not log in.
    #[error("the user {0} is not active")]
    NotActive(UserId),
    /// Too many passwords wait to be hashed. A retry may succeed.
    #[error("the service is overloaded")]
    Overloaded,
    /// See [`StorageError`].
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// Any other failure.
    #[error("{0}")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl UserError {
    /// Creates the error of any other failure.
    pub fn failed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Failed(cause.into())
    }
}
