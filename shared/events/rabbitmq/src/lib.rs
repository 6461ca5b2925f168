//! RabbitMQ as the bus of events.
//!
//! Topology, declared by whoever connects:
//! - `events`, a topic exchange. The routing key is the event's kind, such as `order.placed`.
//! - One quorum queue for a consumer of a service, named as the consumer. It is bound to whole kinds of
//!   aggregates (`order.#`) and has a single active consumer.
//! - One exclusive queue for a consumer of a process. It ends with its connection.
//! - `events.dead`, a direct exchange, and `CONSUMER.dead`, a quorum queue: the messages that the consumer
//!   could not read. Nothing else goes there.
//!
//! Rules:
//! - Each publisher and each subscription has a connection of its own. A memory alarm of the broker stops
//!   every write of a connection that publishes, acknowledgements included.
//! - Messages are persistent and `mandatory`. The broker confirms a message that has no queue, so returns
//!   are told apart from confirms by the event's id.
//! - Nothing is ever requeued, because a requeued message goes to the tail. A connection that ends gives
//!   its unsettled messages back to the head, in order.
//! - A consumer is never cancelled: its channel is closed. The client library's recovery is off, because it
//!   lets a later event pass a lost one.
//!
//! Permissions of the user of a service `order`, once an operator has declared the exchanges:
//!
//! | permission | regular expression |
//! |---|---|
//! | configure | `^order(\..*)?$` |
//! | write | `^(events\|events\.dead\|order(\..*)?)$` |
//! | read | `^(events\|events\.dead\|order(\..*)?)$` |
//! | topic write on `events` | `^order\.` |
//! | topic read on `events` | `.*` |
//!
//! A user that may not declare an exchange uses the one that exists. A consumer refuses a message whose kind
//! is not its routing key, so topic permissions decide who publishes what.

mod batch;
mod bus;
mod connection;
mod deliveries;
mod failure;
mod message;
mod publisher;
mod quiet;
mod settings;
mod topology;
mod transport;

pub use bus::RabbitMq;
pub use settings::{InvalidSettings, Settings};
