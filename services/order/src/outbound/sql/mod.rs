//! Orders in a database.
//!
//! A unit of work is one transaction: the event, the row that lists go by, the address,
//! the saga and the request record are there together or not at all.

mod orders;
mod records;

use gantry_sql::{Migrations, requests, sagas};

pub use self::orders::SqlRepository;
use crate::application::CommitError;

/// The schema, from its first version on.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    shared: &[&requests::TABLES, &sagas::TABLES],
};

impl From<sqlx::Error> for CommitError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
