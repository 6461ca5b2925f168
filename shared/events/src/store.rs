//! Ports to the database.

use std::{error::Error, fmt, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Aggregate, Event};

/// Failure of the storage. Try again later.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct StoreError(#[from] Box<dyn Error + Send + Sync>);

impl StoreError {
    /// Creates an error with this cause.
    pub fn new(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(cause.into())
    }
}

/// Events of a service that wait to be published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// Number of unpublished events.
    pub events: u64,
    /// Age of the oldest one. Zero if there is none.
    pub age: Duration,
}

/// Outbox of a service.
#[async_trait]
pub trait Outbox: fmt::Debug + Send + Sync + 'static {
    /// Returns unpublished events, in order within each aggregate, oldest first. Leaves out those of the
    /// `blocked` aggregates.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unpublished(
        &self,
        limit: usize,
        blocked: &[Aggregate],
    ) -> Result<Vec<Event>, StoreError>;

    /// Marks events as published.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn mark_published(&self, events: &[Event]) -> Result<(), StoreError>;

    /// Takes or extends the relay's lease, by the database's clock. Returns true if `holder` has it. The
    /// lease only saves work: two relays at once publish duplicates and lose nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn lease(&self, holder: Uuid, length: Duration) -> Result<bool, StoreError>;

    /// Gives the lease back.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn release(&self, holder: Uuid) -> Result<(), StoreError>;

    /// Waits until this process has written an event, or for `timeout` at most.
    async fn changed(&self, timeout: Duration);

    /// Measures what is unpublished.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn lag(&self) -> Result<Lag, StoreError>;

    /// Makes the events of an aggregate from this sequence on unpublished again. Returns their number.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn republish(&self, aggregate: &Aggregate, from: i64) -> Result<u64, StoreError>;
}

/// Outcome of a delivered event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// It took effect, and so did this number of held successors.
    Applied {
        /// Number of successors that were held.
        released: u64,
    },
    /// It had taken effect before.
    Duplicate,
    /// It is kept until its predecessors arrive.
    Held,
    /// It is kept behind a parked event of its aggregate.
    Parked,
}

/// Failure to handle an event. It had no effect.
#[derive(Debug, thiserror::Error)]
pub enum HandlerError {
    /// See [`StoreError`]. It says nothing about the event, which is tried until the storage is back.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The handler fails on this event. After some attempts it is parked.
    #[error("{0}")]
    Failed(String),
}

/// Handler of a consumer: makes an event take effect once. The effect and the record of it are one
/// transaction.
#[async_trait]
pub trait Handler: fmt::Debug + Send + Sync + 'static {
    /// Notes that a subscription begins. In [`Scope::Process`](crate::Scope::Process), events since the
    /// end of the last one are missing. Does nothing by default.
    async fn subscribed(&self) {}

    /// Handles a delivered event. Runs to its end even if the caller drops the future.
    ///
    /// # Errors
    /// [`HandlerError`].
    async fn handle(&self, event: &Event) -> Result<Handled, HandlerError>;

    /// Parks an event on which the handler fails, and with it the later ones of its aggregate.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn park(&self, event: &Event, cause: &str) -> Result<(), StoreError>;
}
