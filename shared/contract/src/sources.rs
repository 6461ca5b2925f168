//! Sources of time and ids. Use cases take them as parameters, so that tests can choose both.

use std::fmt;

use time::OffsetDateTime;
use uuid::Uuid;

/// Clock of a process.
pub trait Clock: fmt::Debug + Send + Sync {
    /// Returns the current time in UTC, truncated to microseconds. A stored time then equals the
    /// returned one.
    fn now(&self) -> OffsetDateTime;
}

/// Source of ids.
pub trait Ids: fmt::Debug + Send + Sync {
    /// Returns a new UUIDv7. Later ids sort after earlier ones.
    fn next(&self) -> Uuid;
}
