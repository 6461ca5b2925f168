//! How a service keeps its data in SQLite.
//!
//! - [`Sqlite::open`] makes the folder, takes the database for this process alone,
//!   applies the migrations and opens one connection that writes and a few that
//!   only read.
//! - [`Sqlite::write`] is the unit of work: one `BEGIN IMMEDIATE` transaction that is
//!   committed or rolled back, and finished even where its caller goes away.
//! - [`Sqlite::reader`] is the pool for queries; SQLite itself refuses writes there.
//! - [`requests`] keeps the records that make a repeated mutation recognisable.
//! - [`Sqlite::probe`] tells whether it can be written to, for a readiness check.
//! - [`StorageError`] is the one error of repositories, with its mapping to a status;
//!   [`unique_violation`] names the constraint that a write would have broken.
//! - [`Purge`] deletes rows that are past their time.
//! - [`StoredTime`] reads and writes the columns that hold times.
//!
//! The database, the files that SQLite keeps beside it and the lock are 0600: they hold personal
//! data. Once one of them is removed, or the disk is full, writes are refused instead of lost.
//!
//! Committed means on disk: `synchronous = FULL` makes each commit wait for the
//! disk, so an acknowledged write survives a power cut. Writers queue for the one
//! connection in memory, in order, instead of colliding inside SQLite; waiting there
//! is abandoned with the caller, and only a unit that has begun is finished.
//!
//! Statements are checked by running them: every repository has a test suite that
//! runs each of them on a real database.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! use gantry_sql::{Settings, Sqlite};
//!
//! static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("tests/it/migrations");
//!
//! let db = Sqlite::open(&Settings::new(folder.path().join("things.db")), &MIGRATIONS).await?;
//! let added: Result<_, sqlx::Error> = db
//!     .write(|conn| {
//!         Box::pin(async move {
//!             sqlx::query("INSERT INTO things (name) VALUES ('mug')").execute(conn).await
//!         })
//!     })
//!     .await;
//! added?;
//! let names: Vec<String> =
//!     sqlx::query_scalar("SELECT name FROM things").fetch_all(db.reader()).await?;
//! assert_eq!(names, ["mug"]);
//! db.close().await;
//! # Ok(())
//! # }
//! ```

mod error;
mod files;
mod lock;
mod open;
mod path;
mod probe;
mod purge;
pub mod requests;
mod settings;
mod time;
mod write;

pub use self::time::StoredTime;
pub use error::{StorageError, unique_violation};
pub use open::{OpenError, Sqlite};
pub use probe::ProbeError;
pub use purge::Purge;
pub use settings::Settings;
pub use sqlx::migrate::Migrator;
pub use write::Unit;
