//! Events between services, in the databases of their publisher and their consumers.
//!
//! - [`append`] writes events to the outbox, in the unit of work that makes the change.
//! - [`OutboxStore`] is the adapter of [`gantry_events::Outbox`], from which the relay publishes.
//!   [`PUBLISHED`] deletes published events after a while.
//! - [`Inbox`] is the adapter of [`gantry_events::Handler`]: it makes the events of a consumer take
//!   effect once and in order. The [`Effect`] is the consumer's own.
//!
//! A service that publishes or consumes events names [`TABLES`] in its
//! [`Migrations`](crate::Migrations).
//!
//! The sequence of an aggregate is a row of its own, which a unit that appends locks until its commit:
//! sequences have no gap, and neither a purge nor a rollback makes one. Positions of the outbox may become
//! visible out of order on PostgreSQL, but those of one aggregate do not. So the relay looks for rows that
//! are not published, never for rows above a position.

mod append;
mod effect;
mod inbox;
mod kept;
mod operator;
mod outbox;
mod place;
mod rows;

pub use self::{
    append::append,
    effect::{Effect, EffectError},
    inbox::Inbox,
    operator::{Gap, Kept, Parked},
    outbox::{OutboxStore, PUBLISHED},
};

use gantry_events::StoreError;

use crate::{SharedTables, StorageError};

/// Tables of the outbox and the inbox.
pub static TABLES: SharedTables = SharedTables {
    history: "_sqlx_event_migrations",
    sqlite: sqlx::migrate!("migrations/events/sqlite"),
    postgres: sqlx::migrate!("migrations/events/postgres"),
};

fn store_error(error: sqlx::Error) -> StoreError {
    StoreError::new(StorageError::from(error))
}
