//! Contract of buses, and models of the database's side, for tests. Needs the feature `testing`.

pub mod bus;
mod events;
mod faults;
mod inbox;
mod outbox;

pub use events::{aggregate, event, events};
pub use faults::{Fault, Faults, FaultyBus};
pub use inbox::MemoryInbox;
pub use outbox::MemoryOutbox;
