//! Meanings of database errors.

use std::{error::Error, io, sync::Arc};

use gantry_contract::Failure;
use gantry_resilience::circuit_breaker::Rejected;
use sqlx::{postgres::PgDatabaseError, sqlite::SqliteError};

/// Cause of a failure: for the log, never for a caller.
type Cause = Box<dyn Error + Send + Sync>;

/// Failure of the storage.
///
/// The one error that repositories share. An application may name it, and it names no database:
/// the cause is erased. [`StorageError::failure`] is its one mapping to a status.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Too much to do: nothing was written, and trying again may succeed.
    #[error("storage busy: {0}")]
    Busy(#[source] Cause),
    /// Nothing can be written for now, as on a full disk. Nothing was.
    #[error("storage unavailable: {0}")]
    Unavailable(#[source] Cause),
    /// The storage was lost during a commit, which may have taken effect.
    #[error("storage: {0}")]
    OutcomeUnknown(#[source] Cause),
    /// The caller's deadline passed. Nothing was written.
    #[error("{0}")]
    DeadlineExceeded(#[source] Cause),
    /// Stored data that cannot be read, or contradicts itself.
    #[error("stored data cannot be read: {0}")]
    Corrupt(#[source] Cause),
    /// Any other fault.
    #[error("storage: {0}")]
    Failed(#[source] Cause),
}

impl StorageError {
    /// Creates the error of stored data that cannot be read.
    pub fn corrupt(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Corrupt(cause.into())
    }

    /// Creates the error of any other fault.
    pub fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(cause.into())
    }

    /// Returns the refusal for the caller, and logs the cause: the refusal never has it.
    pub fn failure(&self) -> Failure {
        match self {
            // A line for each call would say it a thousand times.
            Self::Busy(_) => {
                tracing::debug!(error = %self, "storage busy");
                Failure::overloaded()
            }
            Self::Unavailable(_) => {
                tracing::error!(error = %self, "nothing can be stored");
                Failure::storage_unavailable()
            }
            Self::OutcomeUnknown(_) => {
                tracing::error!(error = %self, "outcome of a commit unknown");
                Failure::outcome_unknown()
            }
            // The log of the call has its status.
            Self::DeadlineExceeded(_) => Failure::deadline_exceeded(),
            Self::Corrupt(_) | Self::Failed(_) => {
                tracing::error!(error = %self, "storage failed");
                Failure::internal()
            }
        }
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        if is_late(&error) {
            Self::DeadlineExceeded(cause(error))
        } else if is_busy(&error) {
            Self::Busy(cause(error))
        } else if is_unavailable(&error) {
            Self::Unavailable(cause(error))
        } else if is_unknown(&error) {
            Self::OutcomeUnknown(cause(error))
        } else if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
            Self::Corrupt(cause(error))
        } else {
            Self::Failed(cause(error))
        }
    }
}

/// Another unit has written meanwhile what this one did not see when it looked.
#[derive(Debug, thiserror::Error)]
#[error("another unit of work wrote the same row at the same time")]
pub(crate) struct Conflict;

/// A unit went on after one of its statements had failed.
#[derive(Debug, thiserror::Error)]
#[error("a statement of the unit failed, so the unit is not committed")]
pub(crate) struct IgnoredFailure;

/// The connection broke, or the disk failed, during a COMMIT. It may have taken effect.
#[derive(Debug, thiserror::Error)]
#[error("the database was lost during a commit, which may have taken effect: {0}")]
pub(crate) struct UnknownOutcome(#[source] pub(crate) sqlx::Error);

/// The caller's deadline passed during a wait for a connection, or ended a statement.
#[derive(Debug, thiserror::Error)]
#[error("the deadline of the call passed")]
pub(crate) struct DeadlineExceeded;

/// A PostgreSQL server that cannot be reached, or refuses connections.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the server cannot be reached: {0}")]
pub(crate) struct Unreachable(Arc<str>);

impl Unreachable {
    pub(crate) fn new(cause: &dyn Error) -> Self {
        Self(cause.to_string().into())
    }
}

/// Returns the cause within an error of sqlx. An error of this crate is its own cause.
pub(crate) fn cause(error: sqlx::Error) -> Cause {
    match error {
        sqlx::Error::AnyDriverError(cause) => cause,
        error => error.into(),
    }
}

/// Makes errors of the database of this crate's own.
macro_rules! into_sqlx {
    ($($error:ident),*) => {
        $(impl From<$error> for sqlx::Error {
            fn from(error: $error) -> Self {
                Self::AnyDriverError(Box::new(error))
            }
        })*
    };
}

into_sqlx!(Conflict, IgnoredFailure, UnknownOutcome, DeadlineExceeded, Unreachable);

/// Returns true if a unit conflicted with another one: it may succeed if it runs again.
pub(crate) fn must_repeat(error: &sqlx::Error) -> bool {
    const SERIALIZATION_FAILURE: &str = "40001";
    const DEADLOCK_DETECTED: &str = "40P01";
    match error {
        sqlx::Error::AnyDriverError(error) => error.is::<Conflict>(),
        error => sqlstate(error)
            .is_some_and(|state| [SERIALIZATION_FAILURE, DEADLOCK_DETECTED].contains(&&*state)),
    }
}

/// Returns the code that PostgreSQL gave the error
/// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
fn sqlstate(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<PgDatabaseError>().map(|error| error.code().to_owned())
}

/// Returns the extended result code that SQLite gave the error (https://sqlite.org/rescode.html).
fn result_code(error: &sqlx::Error) -> Option<i64> {
    let error = error.as_database_error()?;
    error.try_downcast_ref::<SqliteError>()?;
    error.code()?.parse().ok()
}

/// Returns true if the caller's deadline ended the wait or the statement. Only a deadline interrupts a
/// statement of SQLite.
fn is_late(error: &sqlx::Error) -> bool {
    const INTERRUPT: i64 = 9;
    match error {
        sqlx::Error::AnyDriverError(error) => error.is::<DeadlineExceeded>(),
        error => result_code(error).is_some_and(|code| code & 0xff == INTERRUPT),
    }
}

/// Returns true if PostgreSQL ended the statement, since it took too long.
pub(crate) fn is_canceled(error: &sqlx::Error) -> bool {
    const QUERY_CANCELED: &str = "57014";
    sqlstate(error).is_some_and(|code| code == QUERY_CANCELED)
}

/// Returns true if a commit may have taken effect although it failed.
fn is_unknown(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::AnyDriverError(error) if error.is::<UnknownOutcome>())
}

/// Returns true if the COMMIT of a SQLite unit, which failed with this error, may have taken effect: a
/// sync or another operation of the disk failed after the unit was written.
pub(crate) fn is_unfinished(error: &sqlx::Error) -> bool {
    const IOERR: i64 = 10;
    let failed = |error| result_code(error).is_some_and(|code| code & 0xff == IOERR);
    matches!(error, sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed)
        || failed(error) && !is_unavailable(error)
}

/// Returns true if the connection to a PostgreSQL server cannot be used any more.
pub(crate) fn is_lost(error: &sqlx::Error) -> bool {
    const CONNECTION: &str = "08";
    // The server shuts down, crashed, or ended the session.
    const SHUTDOWN: [&str; 5] = ["57P01", "57P02", "57P03", "57P05", "25P03"];
    match error {
        // The protocol's state is unknown after a message that is none.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => true,
        error => sqlstate(error)
            .is_some_and(|code| code.starts_with(CONNECTION) || SHUTDOWN.contains(&&*code)),
    }
}

/// Returns true if the first statement of a pooled connection failed since the server had closed the
/// connection, after a restart for example. Nothing was executed, so another connection may be used.
/// Not so for a server that does not answer.
pub(crate) fn is_stale(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != io::ErrorKind::TimedOut,
        error => is_lost(error),
    }
}

/// Returns true if the database was merely occupied: trying again may succeed.
fn is_busy(error: &sqlx::Error) -> bool {
    // Primary result codes: the low byte of the extended ones.
    const BUSY: i64 = 5;
    const LOCKED: i64 = 6;
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    matches!(error, sqlx::Error::PoolTimedOut)
        || must_repeat(error)
        || result_code(error).is_some_and(|code| matches!(code & 0xff, BUSY | LOCKED))
        || is_canceled(error)
        || sqlstate(error).is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

/// Returns true if nothing can be written for now, with no fault of the write: the disk is full,
/// the file system is read-only, the files were removed, or the server is away. Nothing was written,
/// so the caller may try again later.
///
/// Errors after which a commit may be on the disk are not among them: see [`is_unknown`].
pub(crate) fn is_unavailable(error: &sqlx::Error) -> bool {
    // Primary result codes.
    const READONLY: i64 = 8;
    const FULL: i64 = 13;
    const CANTOPEN: i64 = 14;
    // Extended ones.
    const IOERR_WRITE: i64 = 778;
    const IOERR_SHMSIZE: i64 = 4874;
    // Class of PostgreSQL's codes: resources are exhausted.
    const RESOURCES: &str = "53";
    const READ_ONLY_TRANSACTION: &str = "25006";
    if let sqlx::Error::AnyDriverError(error) = error {
        return error.is::<Rejected>() || error.is::<Unreachable>();
    }
    // A commit's own is an UnknownOutcome.
    is_lost(error)
        || result_code(error).is_some_and(|code| {
            matches!(code & 0xff, READONLY | FULL | CANTOPEN)
                || matches!(code, IOERR_WRITE | IOERR_SHMSIZE)
        })
        || sqlstate(error)
            .is_some_and(|code| code.starts_with(RESOURCES) || code == READ_ONLY_TRANSACTION)
}

/// Returns true if the file holds something else than a database.
pub(crate) fn is_not_a_database(error: &sqlx::Error) -> bool {
    const NOT_A_DATABASE: i64 = 26;
    result_code(error) == Some(NOT_A_DATABASE)
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    #[test]
    fn each_failure_has_its_reason_and_hides_its_cause() {
        let cause = || Cause::from("no such table: secrets");
        for (error, reason) in [
            (StorageError::Busy(cause()), "OVERLOADED"),
            (StorageError::Unavailable(cause()), "STORAGE_UNAVAILABLE"),
            (StorageError::OutcomeUnknown(cause()), "OUTCOME_UNKNOWN"),
            (StorageError::DeadlineExceeded(cause()), "DEADLINE_EXCEEDED"),
            (StorageError::Corrupt(cause()), "INTERNAL"),
            (StorageError::Failed(cause()), "INTERNAL"),
        ] {
            let status = tonic::Status::from(error.failure());
            assert_eq!(status.get_details_error_info().unwrap().reason, reason);
            let sent = format!("{} {:?}", status.message(), status.get_error_details());
            assert!(!sent.contains("secrets"), "{sent}");
        }
    }
}
