//! Users and refresh tokens in SQLite.
//!
//! Each method that writes is one transaction. That an address is unique is the
//! table's business, whatever was looked up before: its constraint is what becomes
//! [`UserError::EmailTaken`].

mod refresh_tokens;
mod rows;
mod users;

use gantry_sql::Sqlite;
use sqlx::migrate::Migrator;

pub use refresh_tokens::EXPIRED_TOKENS;

use crate::application::UserError;

/// The schema, from its first version on.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Users and refresh tokens in a SQLite database that has [`MIGRATIONS`].
#[derive(Clone, Debug)]
pub struct SqliteRepository {
    db: Sqlite,
}

impl SqliteRepository {
    /// The users in this database.
    pub fn new(db: Sqlite) -> Self {
        Self { db }
    }
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
