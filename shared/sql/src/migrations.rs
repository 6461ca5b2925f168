//! Schemas of a service's database, one for each engine.

use sqlx::migrate::Migrator;

/// Migrations of a database, from its first version on, for both engines.
///
/// ```
/// static MIGRATIONS: gantry_sql::Migrations = gantry_sql::Migrations {
///     sqlite: sqlx::migrate!("tests/it/migrations/sqlite"),
///     postgres: sqlx::migrate!("tests/it/migrations/postgres"),
/// };
/// ```
///
/// Both must make the same tables and columns, in the types of their engine:
///
/// | | SQLite | PostgreSQL |
/// |---|---|---|
/// | UUID | `BLOB` | `UUID` |
/// | number, [time](crate::StoredTime) | `INTEGER` | `BIGINT` |
/// | text, compared byte by byte | `TEXT` | `TEXT COLLATE "C"` |
/// | bytes | `BLOB` | `BYTEA` |
#[derive(Debug)]
pub struct Migrations {
    /// Migrations of a SQLite file.
    pub sqlite: Migrator,
    /// Migrations of a PostgreSQL database. A release must run on the schema of the one after it.
    pub postgres: Migrator,
}
