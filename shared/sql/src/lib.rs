//! Data of a service, in SQLite or PostgreSQL.
//!
//! - [`Database::open`] opens the engine that the [`Settings`] name and applies the [`Migrations`].
//! - [`Database::write`] and [`Database::write_locked`] are the unit of work: one transaction that is
//!   committed or rolled back, and finished even if its caller goes away.
//! - [`Database::reader`] and [`Database::replica`] return connections for queries; the database
//!   refuses writes on them.
//! - [`Connection`] runs the statements of a repository, one text for both engines. [`Value`], [`Row`]
//!   and [`TextList`] are what they take and return.
//! - [`schema`] lists, applies and reverts the migrations for an operator.
//! - [`requests`] keeps the records that make a repeated mutation recognisable.
//! - [`sagas`] keeps the log of sagas.
//! - [`events`] keeps the events that wait to be published, and records those that took effect.
//! - [`SharedSecret`] is a secret that all processes on a database must share; [`agree`] compares it.
//! - [`Database::probe`] checks that the storage takes writes, for a readiness check.
//! - [`Database::measured`] adds metrics of connections and statements, listed in docs/METRICS.md.
//! - [`StorageError`] is the one error of repositories, with its mapping to a status.
//! - [`Purge`] deletes rows that are past their time.
//! - [`StoredTime`] reads and writes the columns that hold times.
//!
//! # Deadline
//! The deadline of the call that a task handles ([`CallContext`](gantry_contract::CallContext)) ends
//! the wait for a connection and the statements on it, so that the database stops working for a
//! caller that is gone. It does not end a COMMIT that is under way.
//!
//! # SQLite
//! One process has the file open: one connection writes and a few only read. Writers queue for it in
//! memory, in order, instead of colliding inside SQLite. The file, those that SQLite keeps beside it
//! and the lock are 0600: they hold personal data. Once one of them is removed, or the disk is full,
//! writes are refused instead of lost. `synchronous = FULL` makes each commit wait for the disk, so an
//! acknowledged write survives a power cut.
//!
//! # PostgreSQL
//! With [`TlsSettings`] every connection has TLS, and only the authorities that they name are trusted.
//!
//! Any number of processes share the database. Units run at REPEATABLE READ and run again, at most
//! three times, if they conflict with another one (40001, 40P01); units that lock their rows first run
//! at READ COMMITTED. A COMMIT whose outcome is unknown is [`StorageError::OutcomeUnknown`] and is never
//! repeated: the request record makes the caller's retry safe.
//!
//! A server that refuses connections makes [`StorageError::Unavailable`] within a fraction of a second,
//! and one that does not answer a connection after 2 s. A circuit breaker per server opens after five
//! failures in a row, refuses at once, and admits probes; readiness probes are among them. A
//! connection that the server has closed is replaced before a unit or a query begins. The size of a
//! pool is its bulkhead: a full pool is [`StorageError::Busy`], and says nothing about the server.
//!
//! # Tests
//! Statements are checked by running them: every repository has a test suite that runs each of them on
//! both engines. Beside it `gantry_sql_testing::statements::assert_prepared` finds the statements in a
//! crate's source, and prepares each on both.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use gantry_sql::{Database, Migrations, Settings};
//!
//! static MIGRATIONS: Migrations = Migrations {
//!     sqlite: sqlx::migrate!("tests/it/migrations/sqlite"),
//!     postgres: sqlx::migrate!("tests/it/migrations/postgres"),
//!     shared: &[],
//! };
//!
//! let settings = Settings::sqlite_file(folder.path().join("things.db"));
//! let db = Database::open(&settings, &MIGRATIONS).await?;
//! let added: Result<_, sqlx::Error> = db
//!     .write("mug", |conn, name| {
//!         Box::pin(conn.query("INSERT INTO things (name) VALUES ($1)").bind(*name).execute())
//!     })
//!     .await;
//! added?;
//! let names: Vec<(String,)> =
//!     db.reader().await?.query("SELECT name FROM things").fetch_all().await?;
//! assert_eq!(names, [("mug".to_owned(),)]);
//! db.close().await;
//! # Ok(())
//! # }
//! ```

mod connection;
mod database;
mod deadline;
mod error;
pub mod events;
mod list;
mod measure;
mod migrations;
mod open_error;
mod postgres;
mod probe;
mod purge;
mod query;
pub mod requests;
pub mod sagas;
pub mod schema;
mod secrets;
mod settings;
mod sqlite;
mod time;
mod unit;

pub use self::time::StoredTime;
pub use connection::Connection;
pub use database::Database;
pub use error::StorageError;
pub use list::TextList;
pub use migrations::{Migrations, SharedTables};
pub use open_error::OpenError;
pub use postgres::TlsSettings;
pub use probe::ProbeError;
pub use purge::Purge;
pub use query::{Query, Row, Value};
pub use secrets::{SharedSecret, agree};
pub use settings::{Kind, PostgresSettings, Settings, SettingsError, SqliteSettings};
pub use unit::Unit;
