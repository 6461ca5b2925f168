//! Port to the broker.

use std::{fmt, num::NonZeroU16};

use async_trait::async_trait;

use crate::Event;

/// Failure of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The broker is away, or the connection or channel ended. Try again with a new publisher or
    /// subscription.
    #[error("{0}")]
    Unavailable(String),
    /// The broker refuses the configuration: credentials, virtual host, permissions, or a queue or
    /// exchange that exists with other arguments. Only an operator can change that.
    #[error("{0}")]
    Misconfigured(String),
}

/// Failure to publish a batch.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct PublishError {
    /// Number of events at the front of the batch that the bus has stored. Whether it has stored others
    /// is unknown.
    pub confirmed: usize,
    /// The cause. [`Refused`](PublishFailure::Refused) blames one event, the first after the confirmed ones.
    pub cause: PublishFailure,
}

/// Cause of a [`PublishError`].
#[derive(Debug, thiserror::Error)]
pub enum PublishFailure {
    /// See [`BusError`].
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus does not take this event: it has no queue yet, or it is too large.
    #[error("{0}")]
    Refused(String),
}

/// Broker of events.
#[async_trait]
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Opens a publisher.
    ///
    /// # Errors
    /// [`BusError`]: [`Unavailable`](BusError::Unavailable) also while a required queue does not exist.
    async fn publisher(&self) -> Result<Box<dyn Publisher>, BusError>;

    /// Opens a subscription, and creates its queue if there is none yet.
    ///
    /// # Errors
    /// [`BusError`].
    async fn subscribe(&self, subscription: &Subscription)
    -> Result<Box<dyn Deliveries>, BusError>;
}

/// Publisher of one relay.
#[async_trait]
pub trait Publisher: fmt::Debug + Send {
    /// Publishes the events in this order, and returns once the bus has stored all of them. Waits for as
    /// long as the broker holds publishers back; a dead connection is an error. After an error, or if the
    /// future is dropped, the publisher is not to be used again.
    ///
    /// # Errors
    /// [`PublishError`].
    async fn publish(&mut self, events: &[Event]) -> Result<(), PublishError>;
}

/// Processes that share the deliveries of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All processes of the service share one durable queue; one of them consumes at a time.
    Service,
    /// Each process has a queue of its own, which ends with it.
    Process,
}

/// Subscription of a consumer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Name of the consumer: the service's, or it and a purpose, such as `user-orders`.
    pub consumer: String,
    /// Processes that share the deliveries.
    pub scope: Scope,
    /// Kinds of aggregates, such as `order`. All their events are delivered.
    pub aggregates: Vec<String>,
    /// Maximum number of deliveries that are not settled.
    pub prefetch: NonZeroU16,
}

/// Delivered message. It is delivered again, before all later ones, if it is never settled.
#[derive(Debug)]
pub struct Delivery {
    /// Number for [`Deliveries::settle`].
    pub tag: u64,
    /// The event, or why the message cannot be read.
    pub event: Result<Event, String>,
}

/// Deliveries of a subscription.
#[async_trait]
pub trait Deliveries: fmt::Debug + Send {
    /// Waits for the next delivery. Dropping the future loses none.
    ///
    /// # Errors
    /// [`BusError`] if the subscription has ended. What was not settled is delivered again to the next one.
    async fn next(&mut self) -> Result<Delivery, BusError>;

    /// Settles a delivery: it is done with. An unreadable one goes where an operator finds it.
    ///
    /// # Errors
    /// [`BusError`].
    async fn settle(&mut self, tag: u64) -> Result<(), BusError>;

    /// Closes the subscription, once what was settled is known to the broker. Settle every delivery in
    /// hand first. A subscription that is dropped instead returns what is not settled.
    async fn close(self: Box<Self>);
}
