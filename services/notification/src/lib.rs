//! Notification service: mails to users about what happened.
//!
//! Guarantees: one mail per event, however often the event is delivered; at least one and at most two if
//! a process dies while it sends; none that is tried for ever. Names and addresses are read when a mail is
//! sent, and never stored or logged.
//!
//! It serves no gRPC methods of its own. Read in this order: [`domain`], [`application`] (the sender, its
//! ports), [`outbound`] (adapters), [`inbound`] (events), [`Service`].

pub mod application;
mod compose;
pub mod domain;
pub mod inbound;
pub mod outbound;
mod settings;

pub use compose::Service;
pub use settings::{SenderSettings, Settings};
