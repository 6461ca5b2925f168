//! Sources of time and ids: what a use case needs of the machine, passed in so that its tests choose both.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

/// Clock of a process.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the time now, in UTC and no finer than microseconds: what is stored is what was answered.
    fn now(&self) -> OffsetDateTime;
}

/// Source of ids.
pub trait Ids: fmt::Debug + Send + Sync {
    /// Returns a UUIDv7 that was never returned before. Later ones sort after earlier ones.
    fn next(&self) -> Uuid;
}
