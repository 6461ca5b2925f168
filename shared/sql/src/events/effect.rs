//! Effects of events, which consumers write.

use std::fmt;

use async_trait::async_trait;
use gantry_events::{Event, HandlerError, StoreError};

use crate::{Connection, StorageError, error::IgnoredFailure};

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

/// Failure of a unit of the inbox.
#[derive(Debug)]
pub(super) enum UnitError {
    /// The effect's own.
    Effect(EffectError),
    /// Failure around the effect. It says nothing about the event.
    Storage(StorageError),
}

impl From<StorageError> for UnitError {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl From<sqlx::Error> for UnitError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            // The commit is refused since the effect went on after a statement had failed.
            sqlx::Error::AnyDriverError(cause) if cause.is::<IgnoredFailure>() => {
                Self::Effect(EffectError::failed(cause))
            }
            error => Self::Storage(error.into()),
        }
    }
}

impl From<UnitError> for HandlerError {
    fn from(error: UnitError) -> Self {
        match error {
            UnitError::Storage(error) => Self::Store(StoreError::new(error)),
            UnitError::Effect(EffectError::Failed(cause)) => Self::Failed(cause),
            UnitError::Effect(EffectError::Storage(error)) => match error {
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
