//! Write-ahead log: its entries, and the port to its storage.

use std::{error::Error, fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Status;

/// Entry of a saga's log. Steps are named, not numbered: people can read the log, and a definition
/// that no longer matches is detected.
///
/// Stored as JSON. Later releases must read every form that was ever written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// The step is about to be attempted.
    Started {
        /// The step.
        step: String,
    },
    /// The step is done.
    Succeeded {
        /// The step.
        step: String,
    },
    /// The step was refused, or had no answer by its deadline.
    Failed {
        /// The step.
        step: String,
        /// The failure.
        failure: Failure,
    },
    /// Undoing the step is about to be attempted.
    UndoStarted {
        /// The step.
        step: String,
    },
    /// The step is undone.
    UndoDone {
        /// The step.
        step: String,
    },
    /// Undoing the step was refused, or had no answer by its deadline.
    UndoFailed {
        /// The step.
        step: String,
        /// The failure.
        failure: Failure,
    },
}

/// Failure of a step or of its undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// Refused for a reason that a repeat does not change. The step had no effect.
    #[error("refused: {code}: {message}")]
    Refused {
        /// Machine-readable reason, for the undo of the first step.
        code: String,
        /// Explanation for people.
        message: String,
    },
    /// No answer: the step may or may not have taken effect.
    #[error("unanswered: {message}")]
    Unanswered {
        /// Explanation for people.
        message: String,
    },
}

impl Failure {
    /// Creates a [`Failure::Refused`].
    pub fn refused(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Refused { code: code.into(), message: message.to_string() }
    }

    /// Creates a [`Failure::Unanswered`].
    pub fn unanswered(message: impl fmt::Display) -> Self {
        Self::Unanswered { message: message.to_string() }
    }
}

/// A saga to begin. The log's adapter writes it in the transaction of the change that makes it
/// necessary. Call [`Handle::wake`](crate::Handle::wake) afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSaga {
    /// The saga's id, unique for ever.
    pub id: Uuid,
    /// The name of its [`Definition`](crate::Definition).
    pub name: &'static str,
    /// Input of its steps, as JSON.
    pub input: String,
}

/// A running saga, claimed under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The saga's id.
    pub id: Uuid,
    /// Input as given in [`NewSaga`].
    pub input: String,
    /// Epoch of the lease: one more than that of the previous claim.
    pub epoch: i64,
    /// All entries of the saga's log, in order.
    pub entries: Vec<Entry>,
}

/// One write to the log: an entry, the new status and the renewed lease.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The saga's id.
    pub saga: Uuid,
    /// The epoch of the writer's lease.
    pub epoch: i64,
    /// Position of the entry in the log, counted from 0.
    pub position: usize,
    /// The entry.
    pub entry: &'a Entry,
    /// The saga's new status. Only running sagas are claimed.
    pub status: Status,
    /// Duration of the renewed lease, from now.
    pub lease: Duration,
}

/// Failure of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another replica has claimed the saga: the caller must drop it.
    #[error("the lease is stale: another replica has claimed the saga")]
    Stale,
    /// The operation failed, or its outcome is unknown.
    #[error("the saga log is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// Storage of saga logs.
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// Claims up to `limit` running sagas of this name without a lease, oldest first. Raises the
    /// epoch of each and leases it for `lease`.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn claim(
        &self,
        name: &str,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError>;

    /// Appends an entry and renews the lease. Returns once both are durable.
    ///
    /// # Errors
    /// [`LogError::Stale`] if the epoch is not that of the latest claim, with nothing written.
    /// [`LogError::Unavailable`].
    async fn append(&self, append: Append<'_>) -> Result<(), LogError>;

    /// Releases the lease: the saga can be claimed after `pause`.
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError>;
}
