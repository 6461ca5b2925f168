//! Events between services: what happened, told without a call.
//!
//! - A unit of work writes [`NewEvent`]s into the service's outbox, in the transaction of the change.
//! - The relay publishes them as [`Event`]s on a [`Bus`], in order per [`Aggregate`].
//! - A consumer takes the [`Delivery`]s of a [`Subscription`] and gives them to its [`Handler`], which
//!   applies each event once.
//!
//! [`envelope`] is what a broker carries. [`Outbox`] and [`Handler`] are the ports to the database, [`Bus`] the one to the broker. An event is
//! published at least once and takes effect once: its sequence in its aggregate tells a duplicate from a
//! gap.

mod bus;
pub mod envelope;
mod event;
pub mod memory;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use bus::{
    Bus, BusError, Deliveries, Delivery, PublishError, PublishFailure, Publisher, Scope,
    Subscription,
};
pub use event::{Aggregate, Context, Event, InvalidAggregate, NewEvent};
pub use store::{Handled, Handler, HandlerError, Lag, Outbox, StoreError};
