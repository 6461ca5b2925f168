//! Schema of a database for its operator: [`status`], [`up`] and [`down`].
//!
//! A SQLite file is opened for this process alone, so each of them is refused beside a running
//! service. On PostgreSQL `up` and `down` hold the lock of migrations, and running services stay
//! connected.

pub(crate) mod applied;
mod loss;

use std::borrow::Cow;

use sqlx::{
    Connection, PgConnection, SqliteConnection,
    migrate::{Migrate as _, MigrateError, Migration, Migrator},
};

use self::applied::steps;
use crate::{
    Database, Kind, Migrations, OpenError, Settings,
    postgres::{connect_to_migrate, server},
    sqlite::{ProcessLock, open_to_migrate},
};

/// A migration and its state in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Tables that it makes or changes: [`OWN`] for the service's own, `request` for the request
    /// records, `saga` for the saga log, `event` for the outbox and the inbox, `secret` for the [shared secrets](crate::SharedSecret).
    pub tables: &'static str,
    /// Number of the migration among those of these tables; the first is 1.
    pub version: i64,
    /// Description from the name of its file.
    pub description: String,
    /// State in the database.
    pub state: State,
}

/// State of a migration in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Not applied.
    Pending,
    /// Applied.
    Applied,
    /// Applied with another text than that of this release.
    Changed,
    /// Applied by another release; unknown to this one.
    Unknown,
}

impl State {
    /// Returns the state in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Applied => "applied",
            Self::Changed => "applied with another text",
            Self::Unknown => "applied by another release",
        }
    }
}

/// Name of the service's own tables in [`Step::tables`].
pub const OWN: &str = "own";

/// Options of [`down`].
#[derive(Clone, Copy, Debug)]
pub struct Down<'a> {
    /// Tables whose migrations are reverted: [`OWN`] or another value of [`Step::tables`].
    pub tables: &'a str,
    /// Version to revert to; 0 reverts everything. None: the version before the newest.
    pub to: Option<i64>,
    /// Allows the loss of data.
    pub may_lose_data: bool,
}

/// Failure to list or change a schema.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database cannot be opened or migrated.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database has a migration that this release does not know.
    #[error("version {0} was applied by another release: revert it with that one")]
    Unknown(i64),
    /// The migration was applied with another text, so its reversal may not fit.
    #[error("version {0} was applied with another text than that of this release")]
    Changed(i64),
    /// The database has no tables of this name.
    #[error("there are no tables {tables:?}: expected one of {known}")]
    NoTables {
        /// The name.
        tables: String,
        /// All valid names.
        known: String,
    },
    /// The target is no version of the schema.
    #[error("there is no version {version}: expected one of {known}")]
    NoVersion {
        /// The target.
        version: i64,
        /// All valid targets.
        known: String,
    },
    /// A migration has no reversal.
    #[error("version {0} cannot be reverted: it has no script for that")]
    Irreversible(i64),
    /// Reverting loses data, which is not allowed.
    #[error("reverting loses data, nothing was changed:\n{}", .0.join("\n"))]
    Loss(Vec<String>),
    /// The database failed.
    #[error("{database}: {source}")]
    Failed {
        /// The database: path or URL.
        database: String,
        /// Cause.
        source: MigrateError,
    },
}

/// Returns the name of a database for an operator: its engine, and its path or URL.
pub fn name(settings: &Settings) -> String {
    match settings.kind {
        Kind::Sqlite => format!("SQLite {}", settings.sqlite.path.display()),
        Kind::Postgres => format!("PostgreSQL {}", settings.postgres.url),
    }
}

/// Returns all migrations in the order of their versions. Changes nothing, and makes no SQLite file.
///
/// # Errors
/// [`SchemaError::Open`] or [`SchemaError::Failed`].
pub async fn status(
    settings: &Settings,
    migrations: &Migrations,
) -> Result<Vec<Step>, SchemaError> {
    let Some(mut session) = Session::open(settings, migrations).await? else {
        let migrators = migrators(settings, migrations);
        return Ok(migrators.iter().flat_map(|migrator| steps(migrator, &[])).collect());
    };
    let steps = session.steps().await;
    session.close().await;
    steps
}

/// Applies the pending migrations and returns them. A migration that fails changes nothing; those
/// before it stay applied.
///
/// # Errors
/// [`SchemaError::Open`] or [`SchemaError::Failed`].
pub async fn up(settings: &Settings, migrations: &Migrations) -> Result<Vec<Step>, SchemaError> {
    let mut steps = status(settings, migrations).await?;
    // A start migrates in the same way.
    Database::open(settings, migrations).await?.close().await;
    steps.retain(|step| step.state == State::Pending);
    Ok(steps)
}

/// Reverts migrations, the newest first, and returns them in that order. Each is one transaction.
///
/// # Errors
/// [`SchemaError`]. Only [`SchemaError::Failed`] may leave some of them reverted.
pub async fn down(
    settings: &Settings,
    migrations: &Migrations,
    options: Down<'_>,
) -> Result<Vec<Step>, SchemaError> {
    let Some(mut session) = Session::open(settings, migrations).await? else {
        return Ok(Vec::new());
    };
    let reverted = session.down(options).await;
    session.close().await;
    reverted
}

fn migrators(settings: &Settings, migrations: &Migrations) -> Vec<Migrator> {
    match settings.kind {
        Kind::Sqlite => migrations.on_sqlite().collect(),
        Kind::Postgres => migrations.on_postgres().collect(),
    }
}

/// Returns the name of the tables of some migrations: that of their history between its affixes.
fn tables(migrator: &Migrator) -> &'static str {
    let Cow::Borrowed(history) = migrator.table_name else { return OWN };
    let name = history.strip_prefix("_sqlx_").and_then(|rest| rest.strip_suffix("_migrations"));
    name.unwrap_or(OWN)
}

/// One connection that migrates.
struct Session {
    migrators: Vec<Migrator>,
    database: String,
    conn: Conn,
}

enum Conn {
    Sqlite(Box<SqliteConnection>, ProcessLock),
    Postgres(Box<PgConnection>),
}

impl Session {
    /// Connects. None: there is no SQLite file yet.
    async fn open(settings: &Settings, migrations: &Migrations) -> Result<Option<Self>, OpenError> {
        let conn = match settings.kind {
            Kind::Sqlite if !settings.sqlite.path.exists() => return Ok(None),
            Kind::Sqlite => {
                let (conn, lock) = open_to_migrate(&settings.sqlite).await?;
                Conn::Sqlite(Box::new(conn), lock)
            }
            Kind::Postgres => {
                let server = server(&settings.postgres.url, &settings.postgres)?;
                Conn::Postgres(Box::new(connect_to_migrate(&server, &settings.postgres).await?))
            }
        };
        let migrators = migrators(settings, migrations);
        Ok(Some(Self { migrators, database: name(settings), conn }))
    }

    async fn steps(&mut self) -> Result<Vec<Step>, SchemaError> {
        let mut all = Vec::new();
        for migrator in &self.migrators {
            let applied = self.conn.applied(&migrator.table_name).await;
            all.extend(steps(migrator, &applied.map_err(|error| self.failed(error.into()))?));
        }
        Ok(all)
    }

    async fn down(&mut self, options: Down<'_>) -> Result<Vec<Step>, SchemaError> {
        // Closing the connection releases the lock.
        self.conn.lock().await.map_err(|error| self.failed(error))?;
        let steps = self.steps().await?;
        let Some(migrator) = self.migrators.iter().find(|it| tables(it) == options.tables) else {
            let known: Vec<_> = self.migrators.iter().map(tables).collect();
            let (tables, known) = (options.tables.to_owned(), known.join(", "));
            return Err(SchemaError::NoTables { tables, known });
        };
        let steps: Vec<_> = steps.into_iter().filter(|it| it.tables == options.tables).collect();
        let plan = plan(migrator, &steps, options)?;
        for (_, migration) in &plan {
            let reverted = self.conn.revert(&migrator.table_name, migration).await;
            reverted.map_err(|error| self.failed(error))?;
        }
        Ok(plan.into_iter().map(|(step, _)| step).collect())
    }

    fn failed(&self, source: MigrateError) -> SchemaError {
        SchemaError::Failed { database: self.database.clone(), source }
    }

    async fn close(self) {
        let closed = match self.conn {
            Conn::Sqlite(conn, lock) => {
                let closed = conn.close().await;
                drop(lock);
                closed
            }
            Conn::Postgres(conn) => conn.close().await,
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "connection that migrated not closed");
        }
    }
}

impl Conn {
    async fn applied(&mut self, history: &str) -> Result<Vec<applied::Row>, sqlx::Error> {
        match self {
            Self::Sqlite(conn, _) => applied::on_sqlite(conn, history).await,
            Self::Postgres(conn) => applied::on_postgres(conn, history).await,
        }
    }

    async fn lock(&mut self) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite(conn, _) => conn.lock().await,
            Self::Postgres(conn) => conn.lock().await,
        }
    }

    async fn revert(&mut self, history: &str, migration: &Migration) -> Result<(), MigrateError> {
        match self {
            Self::Sqlite(conn, _) => conn.revert(history, migration).await.map(drop),
            Self::Postgres(conn) => conn.revert(history, migration).await.map(drop),
        }
    }
}

/// Returns the migrations to revert, the newest first, each with its reversal.
fn plan<'a>(
    migrator: &'a Migrator,
    steps: &[Step],
    Down { to, may_lose_data, .. }: Down<'_>,
) -> Result<Vec<(Step, &'a Migration)>, SchemaError> {
    let applied = || steps.iter().rev().filter(|step| step.state != State::Pending);
    let target = match to {
        Some(version) if version != 0 && steps.iter().all(|step| step.version != version) => {
            let known = steps.iter().map(|step| step.version.to_string());
            let known = ["0".to_owned()].into_iter().chain(known).collect::<Vec<_>>().join(", ");
            return Err(SchemaError::NoVersion { version, known });
        }
        Some(version) => version,
        None => applied().nth(1).map_or(0, |step| step.version),
    };
    let mut plan = Vec::new();
    for step in applied().filter(|step| step.version > target) {
        match step.state {
            State::Unknown => return Err(SchemaError::Unknown(step.version)),
            State::Changed => return Err(SchemaError::Changed(step.version)),
            State::Applied | State::Pending => {}
        }
        let reverts =
            |it: &&Migration| it.version == step.version && it.migration_type.is_down_migration();
        let migration = migrator.iter().find(reverts);
        plan.push((step.clone(), migration.ok_or(SchemaError::Irreversible(step.version))?));
    }
    let losses = plan.iter().flat_map(|(step, migration)| {
        let losses = loss::losses(migration.sql.as_str());
        losses.into_iter().map(|loss| format!("version {} loses {loss}", step.version))
    });
    let losses: Vec<_> = losses.collect();
    if may_lose_data || losses.is_empty() { Ok(plan) } else { Err(SchemaError::Loss(losses)) }
}
