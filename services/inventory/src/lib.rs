//! Inventory service: the catalogue and its stock.
//!
//! Guarantees: a reservation is all or nothing; concurrent reservations never sell an item twice; a
//! call that is repeated, late or overtaken by its own undo changes nothing.
//!
//! Read in this order: [`domain`] ([`domain::decide`] has the rules), [`application`] (use cases,
//! ports), [`outbound`] (adapters), `inbound` (gRPC methods), [`Service`].

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;

pub use compose::Service;
