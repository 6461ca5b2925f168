//! What a database error means.

use sqlx::error::ErrorKind;

use crate::files::Trouble;

/// The constraint that a write would have broken, where `error` says that something
/// must be unique: `table.column` (several are joined by `, `), or the name of the
/// index where it is one on an expression.
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

/// Whether the database was merely occupied, so that trying again may succeed.
pub fn is_busy(error: &sqlx::Error) -> bool {
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

/// Whether nothing can be written for now, although nothing is wrong with the write: the disk is full,
/// the file system is read-only, or the files were removed. Nothing was written, so the caller may
/// try again later.
///
/// Errors after which a commit may be on the disk (a failed sync) are not among them.
pub fn is_unavailable(error: &sqlx::Error) -> bool {
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

/// Whether the file holds something else than a database.
pub(crate) fn is_not_a_database(error: &sqlx::Error) -> bool {
    const NOT_A_DATABASE: &str = "26";
    error
        .as_database_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == NOT_A_DATABASE)
}
