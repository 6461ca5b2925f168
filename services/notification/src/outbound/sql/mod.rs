//! Mails in a database.

mod jobs;
mod rows;

use gantry_sql::Migrations;

pub use self::jobs::{ENDED, SqlJobs};

/// The schema, from its first version on.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    shared: &[],
};
