//! Meanings of database errors.

use std::error::Error;

use gantry_contract::Failure;
use sqlx::error::ErrorKind;

use crate::files::Trouble;

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
    /// Stored data that cannot be read, or contradicts itself.
    #[error("stored data cannot be read: {0}")]
    Corrupt(#[source] Cause),
    /// Any other fault. Whether a commit is on the disk may be unknown.
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
            Self::Corrupt(_) | Self::Failed(_) => {
                tracing::error!(error = %self, "storage failed");
                Failure::internal()
            }
        }
    }
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        if is_busy(&error) {
            Self::Busy(error.into())
        } else if is_unavailable(&error) {
            Self::Unavailable(error.into())
        } else if matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_)) {
            Self::Corrupt(error.into())
        } else {
            Self::Failed(error.into())
        }
    }
}

/// Returns the constraint that a write would have broken, if `error` is a unique violation:
/// `table.column` (several are joined by `, `), or the name of the index if it is one on an
/// expression.
///
/// Adapters compare it with the constraints they know and make a domain error of
/// it; any other name is a bug, not a conflict.
pub fn unique_violation(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?;
    if error.kind() != ErrorKind::UniqueViolation {
        return None;
    }
    let name = error.message().strip_prefix("UNIQUE constraint failed: ")?;
    Some(name.strip_prefix("index '").and_then(|name| name.strip_suffix('\'')).unwrap_or(name))
}

/// Returns whether the database was merely occupied: trying again may succeed.
fn is_busy(error: &sqlx::Error) -> bool {
    // The primary result code is the low byte of the extended one.
    const BUSY: i64 = 5;
    const LOCKED: i64 = 6;
    match error {
        sqlx::Error::PoolTimedOut => true,
        sqlx::Error::Database(error) => error
            .code()
            .and_then(|code| code.parse::<i64>().ok())
            .is_some_and(|code| matches!(code & 0xff, BUSY | LOCKED)),
        _ => false,
    }
}

/// Returns whether nothing can be written for now, with no fault of the write: the disk is full,
/// the file system is read-only, or the files were removed. Nothing was written, so the caller may
/// try again later.
///
/// Errors after which a commit may be on the disk (a failed sync) are not among them.
fn is_unavailable(error: &sqlx::Error) -> bool {
    // Primary result codes (https://sqlite.org/rescode.html).
    const READONLY: i64 = 8;
    const FULL: i64 = 13;
    const CANTOPEN: i64 = 14;
    // Extended ones.
    const IOERR_WRITE: i64 = 778;
    const IOERR_SHMSIZE: i64 = 4874;
    match error {
        sqlx::Error::Io(error) => error.get_ref().is_some_and(|cause| cause.is::<Trouble>()),
        sqlx::Error::Database(error) => {
            error.code().and_then(|code| code.parse::<i64>().ok()).is_some_and(|code| {
                matches!(code & 0xff, READONLY | FULL | CANTOPEN)
                    || matches!(code, IOERR_WRITE | IOERR_SHMSIZE)
            })
        }
        _ => false,
    }
}

/// Returns whether the file holds something else than a database.
pub(crate) fn is_not_a_database(error: &sqlx::Error) -> bool {
    const NOT_A_DATABASE: &str = "26";
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == NOT_A_DATABASE)
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
