//! How a service keeps its data in SQLite.
//!
//! - [`Sqlite::open`] makes the folder, takes the database for this process alone,
//!   applies the migrations and opens one connection that writes and a few that
//!   only read.
//! - [`Sqlite::write`] is the unit of work: one `BEGIN IMMEDIATE` transaction that is
//!   committed or rolled back, and finished even where its caller goes away.
//! - [`Sqlite::reader`] is the pool for queries; SQLite itself refuses writes there.
//! - [`requests`] keeps the records that make a repeated mutation recognisable.
//! - [`unique_violation`] and [`is_busy`] tell what an error means.
//!
//! Committed means on disk: `synchronous = FULL` makes each commit wait for the
//! disk, so an acknowledged write survives a power cut. Writers queue for the one
//! connection in memory, in order, instead of colliding inside SQLite; waiting there
//! is abandoned with the caller, and only a unit that has begun is finished.
//!
//! Statements are checked by running them: every repository has a test suite that
//! runs each of them on a real database.

mod error;
mod lock;
mod open;
pub mod requests;
mod settings;
mod write;

pub use error::{is_busy, unique_violation};
pub use open::{OpenError, Sqlite};
pub use settings::Settings;
pub use write::Unit;
