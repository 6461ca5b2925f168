//! Write-ahead log: its entries, and the port to its storage.

use std::{error::Error, fmt, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Status;

/// Entry of a saga's log. Steps are named, not numbered: people can read the log, and a definition
/// that no longer matches is detected.
///
/// Stored as JSON. Later releases must read every form that was ever written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case", deny_unknown_fields)]
pub enum Entry {
    /// An attempt at the step is about to start.
    Started {
        /// The step.
        step: String,
    },
    /// The step is done.
    Succeeded {
        /// The step.
        step: String,
    },
    /// The step was refused, or unanswered by its deadline.
    Failed {
        /// The step.
        step: String,
        /// The failure.
        failure: Failure,
    },
    /// An attempt at undoing the step is about to start.
    UndoStarted {
        /// The step.
        step: String,
    },
    /// The step is undone.
    UndoDone {
        /// The step.
        step: String,
    },
    /// Undoing the step was refused, or unanswered by its deadline.
    UndoFailed {
        /// The step.
        step: String,
        /// The failure.
        failure: Failure,
    },
    /// An operator resumed the parked saga: its last step or undo is tried again, with all its
    /// rounds.
    Resumed {
        /// The operator.
        by: String,
        /// Explanation for people. May be empty.
        note: String,
    },
    /// An operator aborted the saga before its pivot: it turns back.
    Aborted {
        /// The operator.
        by: String,
        /// Explanation for people. May be empty.
        note: String,
    },
    /// An operator declared the step or undo that parked the saga done: the saga goes on after it.
    Forced {
        /// The operator.
        by: String,
        /// Explanation for people.
        note: String,
    },
}

/// Failure of a step or of its undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "failure", rename_all = "snake_case", deny_unknown_fields)]
pub enum Failure {
    /// Refused for a reason that a repeat does not change. The step had no effect.
    #[error("refused: {code}: {message}")]
    Refused {
        /// Machine-readable reason. The undo of the first step can record it.
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
    /// Code of the refusal that turns an aborted saga back.
    pub const ABORTED: &str = "ABORTED";

    /// Creates a [`Failure::Refused`].
    pub fn refused(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Refused { code: code.into(), message: message.to_string() }
    }

    /// Creates a [`Failure::Unanswered`].
    pub fn unanswered(message: impl fmt::Display) -> Self {
        Self::Unanswered { message: message.to_string() }
    }
}

/// Context of the call that began a saga. The engine carries it to every attempt and log line, and
/// never reads it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// User who caused the saga, encoded by the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Trace that the saga belongs to: a W3C `traceparent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// Id that connects log lines and calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// New saga. The log's adapter writes it in the transaction of the change that requires it. Call
/// [`Handle::wake`](crate::Handle::wake) after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSaga {
    /// The saga's id, unique for ever. Ordered by time: [`Log::claim`] and [`Log::list`] go by it.
    pub id: Uuid,
    /// The name of its [`Definition`](crate::Definition).
    pub name: &'static str,
    /// Input of its steps, as JSON.
    pub input: String,
    /// Context of the call that begins it.
    pub context: Context,
    /// Time for which only [`Log::claim_new`] claims it. 0: any process may drive it at once.
    pub reserved: Duration,
}

/// Running saga, claimed under a lease.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The saga's id.
    pub id: Uuid,
    /// Name as given in [`NewSaga`].
    pub name: String,
    /// Input as given in [`NewSaga`].
    pub input: String,
    /// Context as given in [`NewSaga`].
    pub context: Context,
    /// Epoch of the lease: greater than that of any earlier lease.
    pub epoch: i64,
    /// All entries of the saga's log, in order.
    pub entries: Vec<Entry>,
}

/// One write to the log by the holder of the lease: entries, the new status and the new end of the
/// lease.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    /// The saga's id.
    pub saga: Uuid,
    /// The epoch of the writer's lease.
    pub epoch: i64,
    /// Position of the first entry in the log, counted from 0.
    pub position: usize,
    /// The entries, in order. All of them are written, or none.
    pub entries: &'a [Entry],
    /// The saga's new status. Only running sagas are claimed.
    pub status: Status,
    /// Duration of the lease, from now. 0 releases the saga.
    pub lease: Duration,
}

/// One write to the log by an operator, who holds no lease. Ends the present lease.
#[derive(Clone, Copy, Debug)]
pub struct Intervention<'a> {
    /// The saga's id.
    pub saga: Uuid,
    /// The epoch that the operator has read.
    pub epoch: i64,
    /// Position of the entry: the number of entries that the operator has read.
    pub position: usize,
    /// The entry.
    pub entry: &'a Entry,
    /// The saga's new status.
    pub status: Status,
}

/// Selection of sagas to list.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    /// Status of the listed sagas. None lists all.
    pub status: Option<Status>,
    /// Only sagas with a lesser id are listed. None lists from the newest on.
    pub before: Option<Uuid>,
    /// Maximum number of sagas.
    pub limit: usize,
}

/// Number of sagas of one name and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// The name of their definition.
    pub name: String,
    /// Their status.
    pub status: Status,
    /// Their number.
    pub number: u64,
}

/// A saga without its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The saga's id.
    pub id: Uuid,
    /// The name of its definition.
    pub name: String,
    /// Its status.
    pub status: Status,
    /// Context of the call that began it.
    pub context: Context,
    /// Time at which it began.
    pub create_time: OffsetDateTime,
    /// Time of the last write to its log.
    pub update_time: OffsetDateTime,
}

/// A saga with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// The saga.
    pub summary: Summary,
    /// Input as given in [`NewSaga`].
    pub input: String,
    /// Epoch of the latest lease. 0 before the first.
    pub epoch: i64,
    /// All entries of the saga's log, in order.
    pub entries: Vec<Recorded>,
}

/// An entry with its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Time at which the entry was written.
    pub time: OffsetDateTime,
    /// The entry.
    pub entry: Entry,
}

/// Failure of the log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The epoch is not the latest, or the position is not the log's end. The caller must drop what
    /// it knows of the saga.
    #[error("the lease is stale: another replica or an operator has written since")]
    Stale,
    /// The operation failed. Nothing was written.
    #[error("the saga log is unavailable: {0}")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The write may have taken effect.
    #[error("the outcome of a write to the saga log is unknown: {0}")]
    OutcomeUnknown(#[source] Box<dyn Error + Send + Sync>),
}

/// Storage of saga logs.
#[async_trait]
pub trait Log: fmt::Debug + Send + Sync + 'static {
    /// Claims up to `limit` running sagas of these names without a lease, oldest first. Raises the
    /// epoch of each and leases it for `lease`.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn claim(
        &self,
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError>;

    /// Claims those of these sagas that were never claimed, if they have these names, reserved or not.
    /// Otherwise as [`Log::claim`].
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn claim_new(
        &self,
        sagas: &[Uuid],
        names: &[&str],
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError>;

    /// Appends entries and renews the lease. Returns once both are durable.
    ///
    /// # Errors
    /// [`LogError::Stale`], with nothing written; [`LogError::Unavailable`];
    /// [`LogError::OutcomeUnknown`].
    async fn append(&self, append: Append<'_>) -> Result<(), LogError>;

    /// Releases the lease. The saga can be claimed again after `pause`.
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError>;

    /// Returns the selected sagas, newest first.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError>;

    /// Returns the saga with this id.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError>;

    /// Appends an operator's entry, raises the epoch and ends the lease, so that its holder writes
    /// nothing more and the saga can be claimed at once.
    ///
    /// # Errors
    /// As [`Log::append`].
    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError>;

    /// Returns the numbers of running and of stuck sagas, by name. A number of 0 may be left out.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn count(&self) -> Result<Vec<Count>, LogError>;

    /// Deletes up to `limit` sagas, with their entries, that completed or were undone at least `kept`
    /// ago. Returns their number.
    ///
    /// # Errors
    /// [`LogError::Unavailable`].
    async fn purge(&self, kept: Duration, limit: usize) -> Result<usize, LogError>;
}
