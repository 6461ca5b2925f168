//! Effects of events, which consumers write.

use std::fmt;

use async_trait::async_trait;
use gantry_events::{Event, HandlerError, StoreError};

use crate::{Connection, StorageError};

/// Effect of a consumer's events on its database.
#[async_trait]
pub trait Effect: fmt::Debug + Send + Sync + 'static {
    /// Applies an event, in the transaction that records it: both are committed or neither. It may run
    /// again after a failure. It changes this database only; remote work is a job that it writes.
    ///
    /// It is called for each event of the aggregates that the consumer subscribes to. Return `Ok` for
    /// one of no interest.
    ///
    /// # Errors
    /// [`EffectError`].
    async fn apply(&self, conn: &mut Connection, event: &Event) -> Result<(), EffectError>;
}

/// Failure of an [`Effect`]. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EffectError {
    /// The event cannot be applied. After some attempts it is parked.
    #[error("{0}")]
    Failed(String),
    /// See [`StorageError`]. A fault of the statement or of stored data counts as the event's, all others
    /// as the storage's.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl EffectError {
    /// Creates the error of an event that cannot be applied.
    pub fn failed(cause: impl fmt::Display) -> Self {
        Self::Failed(cause.to_string())
    }
}

impl From<sqlx::Error> for EffectError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<EffectError> for HandlerError {
    fn from(error: EffectError) -> Self {
        match error {
            EffectError::Failed(cause) => Self::Failed(cause),
            EffectError::Storage(error) => match error {
                StorageError::Corrupt(_) | StorageError::Failed(_) => {
                    Self::Failed(error.to_string())
                }
                StorageError::Busy(_)
                | StorageError::Unavailable(_)
                | StorageError::OutcomeUnknown(_)
                | StorageError::DeadlineExceeded(_) => Self::Store(StoreError::new(error)),
            },
        }
    }
}
