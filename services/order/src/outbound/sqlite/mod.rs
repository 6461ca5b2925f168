//! Orders and their sagas in SQLite.
//!
//! A unit of work is one transaction: the event, the row that lists go by, the address,
//! the saga and the request record are there together or not at all.

mod orders;
mod records;
mod sagas;

use gantry_sql::{is_busy, is_unavailable};
use sqlx::migrate::Migrator;
use time::OffsetDateTime;

pub use self::{orders::SqliteRepository, sagas::SqliteSagaLog};
use crate::application::{CommitError, StorageError};

/// The schema, from its first version on.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The number a time has in the tables: microseconds since 1970.
fn micros(time: OffsetDateTime) -> i64 {
    // The years that OffsetDateTime has are far within what an i64 of microseconds holds.
    (time.unix_timestamp_nanos() / 1_000) as i64
}

fn time(micros: i64) -> Result<OffsetDateTime, StorageError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(corrupt)
}

/// What is stored cannot be read.
fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StorageError {
    StorageError::Failed(cause.into())
}

impl From<sqlx::Error> for StorageError {
    fn from(error: sqlx::Error) -> Self {
        if is_busy(&error) {
            Self::Busy(error.into())
        } else if is_unavailable(&error) {
            Self::Unavailable(error.into())
        } else {
            Self::Failed(error.into())
        }
    }
}

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
