//! Orders and their sagas in SQLite.
//!
//! A unit of work is one transaction: the event, the row that lists go by, the address,
//! the saga and the request record are there together or not at all.

mod orders;
mod records;
mod sagas;

use sqlx::migrate::Migrator;

pub use self::{orders::SqliteRepository, sagas::SqliteSagaLog};
use crate::application::CommitError;

/// The schema, from its first version on.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
