//! Schemas of a service's database, one for each engine.

use std::borrow::Cow;

use sqlx::migrate::Migrator;

use crate::secrets;

/// Migrations of a database, from its first version on, for both engines.
///
/// ```
/// static MIGRATIONS: gantry_sql::Migrations = gantry_sql::Migrations {
///     sqlite: sqlx::migrate!("tests/it/migrations/sqlite"),
///     postgres: sqlx::migrate!("tests/it/migrations/postgres"),
///     shared: &[&gantry_sql::requests::TABLES, &gantry_sql::sagas::TABLES],
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
    /// Tables of this crate that the service uses, each with migrations of their own. Those of the
    /// [shared secrets](crate::SharedSecret) are in every database, and not named here.
    pub shared: &'static [&'static SharedTables],
}

/// Tables that this crate keeps in the databases of services: [`requests::TABLES`](crate::requests::TABLES),
/// [`sagas::TABLES`](crate::sagas::TABLES) and [`events::TABLES`](crate::events::TABLES). They are
/// migrated apart from the service's own tables, so that neither knows the other's versions.
#[derive(Debug)]
pub struct SharedTables {
    /// Table of the migrations that were applied.
    pub(crate) history: &'static str,
    pub(crate) sqlite: Migrator,
    pub(crate) postgres: Migrator,
}

impl Migrations {
    /// Returns the migrations of a SQLite file: the service's own first, then those of the shared
    /// tables.
    pub fn on_sqlite(&self) -> impl Iterator<Item = Migrator> {
        let shared = self.shared().map(|tables| copy(&tables.sqlite, tables.history));
        std::iter::once(copy(&self.sqlite, OWN)).chain(shared)
    }

    /// Returns the migrations of a PostgreSQL database, as [`on_sqlite`](Self::on_sqlite) does. A
    /// newer release may have added to the schema while this one still runs.
    pub fn on_postgres(&self) -> impl Iterator<Item = Migrator> {
        let shared = self.shared().map(|tables| copy(&tables.postgres, tables.history));
        let all = std::iter::once(copy(&self.postgres, OWN)).chain(shared);
        all.map(|migrator| Migrator { ignore_missing: true, ..migrator })
    }

    fn shared(&self) -> impl Iterator<Item = &'static SharedTables> {
        [&secrets::TABLES].into_iter().chain(self.shared.iter().copied())
    }
}

/// Table of the service's own migrations that were applied.
const OWN: &str = "_sqlx_migrations";

/// Copies migrations, which note what was applied in the table `history`.
fn copy(migrator: &Migrator, history: &'static str) -> Migrator {
    Migrator {
        migrations: Cow::Owned(migrator.migrations.to_vec()),
        table_name: Cow::Borrowed(history),
        ..Migrator::DEFAULT
    }
}
