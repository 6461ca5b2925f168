//! Events between services: what happened, told without a call.
//!
//! - A unit of work writes [`NewEvent`]s into the service's outbox, in the transaction of the change.
//! - A [`Relay`] publishes them as [`Event`]s on a [`Bus`], in order per [`Aggregate`].
//! - A [`Consumer`] takes the [`Delivery`]s of a [`Subscription`] and gives them to its [`Handler`], which
//!   applies each event once.
//!
//! [`Outbox`] and [`Handler`] are the ports to the database, [`Bus`] the one to the broker, and
//! [`envelope`] is what a broker carries. An event is published at least once and takes effect once: its
//! sequence in its aggregate tells a duplicate from a gap.

mod bus;
mod consumer;
pub mod envelope;
mod event;
mod measure;
pub mod memory;
mod relay;
mod settings;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use bus::{
    Bus, BusError, Deliveries, Delivery, PublishError, PublishFailure, Publisher, Scope,
    Subscription,
};
pub use consumer::Consumer;
pub use event::{Aggregate, Context, Event, InvalidAggregate, NewEvent};
pub use relay::Relay;
pub use settings::{ConsumerSettings, RelaySettings, SettingsError};
pub use store::{Handled, Handler, HandlerError, Lag, Outbox, StoreError};
