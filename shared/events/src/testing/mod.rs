//! Contract of buses, and models of the database's side, for tests. Needs the feature `testing`.

pub mod bus;
mod events;

pub use events::{aggregate, event, events};
