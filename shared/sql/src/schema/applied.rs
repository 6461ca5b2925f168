//! Migrations that a database has, beside those of this release.

use sqlx::{
    AssertSqlSafe, PgConnection, SqliteConnection,
    migrate::{MigrateError, Migration, Migrator},
};

use super::{State, Step, tables};
use crate::OpenError;

/// Row of a migration in the database: version, description, checksum.
pub(crate) type Row = (i64, String, Vec<u8>);

/// Reads the applied migrations of a history. A new database has no such table.
pub(crate) async fn on_sqlite(
    conn: &mut SqliteConnection,
    history: &str,
) -> Result<Vec<Row>, sqlx::Error> {
    let exists = "SELECT count(*) > 0 FROM sqlite_master WHERE name = $1";
    match sqlx::query_scalar(exists).bind(history).fetch_one(&mut *conn).await? {
        true => sqlx::query_as(read(history)).fetch_all(conn).await,
        false => Ok(Vec::new()),
    }
}

/// As [`on_sqlite`].
pub(crate) async fn on_postgres(
    conn: &mut PgConnection,
    history: &str,
) -> Result<Vec<Row>, sqlx::Error> {
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    match sqlx::query_scalar(exists).bind(history).fetch_one(&mut *conn).await? {
        true => sqlx::query_as(read(history)).fetch_all(conn).await,
        false => Ok(Vec::new()),
    }
}

fn read(history: &str) -> AssertSqlSafe<String> {
    // A constant of this crate, not a caller's text.
    AssertSqlSafe(format!("SELECT version, description, checksum FROM {history} ORDER BY version"))
}

/// Returns the known and the applied migrations of some tables by version.
pub(super) fn steps(migrator: &Migrator, applied: &[Row]) -> Vec<Step> {
    let known = migrator.iter().filter(|it| !it.migration_type.is_down_migration());
    let known: Vec<_> = known.collect();
    let state = |migration: &Migration| match applied
        .iter()
        .find(|(version, ..)| *version == migration.version)
    {
        None => State::Pending,
        Some((_, _, checksum)) if *checksum == *migration.checksum => State::Applied,
        Some(_) => State::Changed,
    };
    let tables = tables(migrator);
    let step = |migration: &&Migration| Step {
        tables,
        version: migration.version,
        description: migration.description.clone().into_owned(),
        state: state(migration),
    };
    let is_unknown = |row: &&Row| known.iter().all(|migration| migration.version != row.0);
    let unknown = applied.iter().filter(is_unknown).map(|(version, description, _)| Step {
        tables,
        version: *version,
        description: description.clone(),
        state: State::Unknown,
    });
    let mut steps: Vec<_> = known.iter().map(step).chain(unknown).collect();
    steps.sort_by_key(|step| step.version);
    steps
}

/// Compares the applied migrations with those of this release. Returns the newest unknown version, if
/// there is one: that of a newer release.
///
/// # Errors
/// [`OpenError::Foreign`] if the two are neither the same nor begin alike.
pub(crate) fn compare(
    database: &str,
    migrator: &Migrator,
    applied: &[Row],
) -> Result<Option<i64>, OpenError> {
    let steps = steps(migrator, applied);
    let known = steps.iter().filter(|step| step.state != State::Unknown);
    let newest = known.map(|step| step.version).max();
    for step in &steps {
        let why = match step.state {
            State::Changed => CHANGED,
            State::Unknown if Some(step.version) < newest => {
                "is not among those of this build, but later ones are"
            }
            State::Unknown | State::Pending | State::Applied => continue,
        };
        return Err(foreign(database, migrator, step.version, why));
    }
    Ok(steps.iter().rev().find(|step| step.state == State::Unknown).map(|step| step.version))
}

const CHANGED: &str = "was applied with another text than this build's";

/// Returns the error of a migration that failed.
pub(crate) fn failed(database: &str, migrator: &Migrator, source: MigrateError) -> OpenError {
    match source {
        // Another process has migrated since the comparison.
        MigrateError::VersionMismatch(version) => foreign(database, migrator, version, CHANGED),
        source => OpenError::Migration { database: database.to_owned(), source },
    }
}

fn foreign(database: &str, migrator: &Migrator, version: i64, why: &'static str) -> OpenError {
    OpenError::Foreign { database: database.to_owned(), tables: tables(migrator), version, why }
}
