//! User service: users and how they log in.
//!
//! Guarantees: an e-mail address belongs to one user, in any case of its letters; a repeated request
//! creates nobody twice; a login does not reveal that an address is known; no address, password or
//! token appears in a log line, a `Debug` or an error.
//!
//! Read in this order: [`domain`], [`application`] (use cases, ports), [`outbound`] (adapters),
//! `inbound` (gRPC methods), [`Service`].

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;
mod settings;

pub use compose::Service;
pub use settings::Settings;
