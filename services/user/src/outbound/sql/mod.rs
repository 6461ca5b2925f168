//! Users and refresh tokens in a database.
//!
//! Each method that writes is one transaction. That an address is unique is the
//! table's business, whatever was looked up before: a row that its constraint does not let in
//! becomes [`UserError::EmailTaken`].

mod refresh_tokens;
mod rows;
mod users;

use gantry_sql::{Database, Migrations, requests};

pub use refresh_tokens::EXPIRED_TOKENS;

use crate::application::UserError;

/// The schema, from its first version on.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    shared: &[&requests::TABLES],
};

/// Users and refresh tokens in a database that has [`MIGRATIONS`].
#[derive(Clone, Debug)]
pub struct SqlRepository {
    db: Database,
}

impl SqlRepository {
    /// Returns the users in this database.
    pub fn new(db: Database) -> Self {
        Self { db }
    }
}

impl From<sqlx::Error> for UserError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
