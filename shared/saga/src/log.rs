//! The write-ahead log: what stands in it, and the port to where it is kept.

use std::{error::Error, fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Status;

/// One line of a saga's log. Steps are named, not numbered, so that a log can be read
/// by people and a definition that no longer fits it is noticed.
///
/// Stored as JSON: what is added later must be readable beside what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// An attempt at the step is about to be made.
    Started {
        /// The step.
        step: String,
    },
    /// The step is done.
    Succeeded {
        /// The step.
        step: String,
    },
    /// The step was refused, or gave no answer by its deadline.
    Failed {
        /// The step.
        step: String,
        /// How it failed.
        failure: Failure,
    },
    /// An attempt at undoing the step is about to be made.
    UndoStarted {
        /// The step.
        step: String,
    },
    /// The step is undone.
    UndoDone {
        /// The step.
        step: String,
    },
    /// Undoing the step was refused, or gave no answer by its deadline.
    UndoFailed {
        /// The step.
        step: String,
        /// How it failed.
        failure: Failure,
    },
}

/// How a step, or its undo, fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// A definite no, for a reason that repeating does not change.
    #[error("refused: {code}: {message}")]
    Refused {
        /// For programs: what the saga's last undo makes of it.
        code: String,
        /// For people.
        message: String,
    },
    /// No answer: it may have happened or not.
    #[error("unanswered: {message}")]
    Unanswered {
        /// For people: why there was none.
        message: String,
    },
}

impl Failure {
    /// A definite no.
    pub fn refused(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Refused { code: code.into(), message: message.to_string() }
    }

    /// No answer, and why.
    pub fn unanswered(message: impl fmt::Display) -> Self {
        Self::Unanswered { message: message.to_string() }
    }
}

/// A saga to begin. The adapter of the log writes it in the transaction of the change
/// that makes it necessary; then [`Handle::wake`](crate::Handle::wake).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSaga {
    /// Names the saga for ever.
    pub id: Uuid,
    /// The name of its [`Definition`](crate::Definition).
    pub name: &'static str,
    /// What its steps work on, as JSON.
    pub input: String,
}

/// An unfinished saga, held under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The saga's id.
    pub id: Uuid,
    /// As it stands in [`NewSaga`].
    pub input: String,
    /// The lease's epoch: one more than at the claim before.
    pub epoch: i64,
    /// Everything in the saga's log, in order.
    pub entries: Vec<Entry>,
}

/// What is written with one entry.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The saga's id.
    pub saga: Uuid,
    /// The epoch of the writer's lease.
    pub epoch: i64,
    /// The entry's place in the log: how many stand before it.
    pub position: usize,
    /// What is written.
    pub entry: &'a Entry,
    /// What the saga is from now on. Only a running one is ever claimed.
    pub status: Status,
    /// How long the lease holds from now on.
    pub lease: Duration,
}

/// Why the log did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Somebody else has claimed the saga since: the caller must let go of it.
    #[error("the lease is stale: the saga was claimed by another since")]
    Stale,
    /// It could not be done, or whether it was is not known.
    #[error("the saga log is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// Where the logs of sagas are kept.
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// Claims up to `limit` running sagas of this name that nobody holds a lease on,
    /// the oldest first: raises the epoch of each and holds it for `lease`.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn claim(
        &self,
        name: &str,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError>;

    /// Writes an entry and holds the lease on; answers once both are durable.
    ///
    /// # Errors
    /// [`LogError::Stale`] where the epoch is not that of the latest claim: nothing
    /// was written. [`LogError::Unavailable`].
    async fn append(&self, append: Append<'_>) -> Result<(), LogError>;

    /// Gives the lease up: the saga can be claimed after `pause`.
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError>;
}
