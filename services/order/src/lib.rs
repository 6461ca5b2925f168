//! Order service: baskets, prices and the way of an order to its outcome.
//!
//! An order starts as a draft, priced from the catalogue, and is then placed. A saga that survives
//! any crash makes the calls to other services. It ends with the order confirmed and the stock sold,
//! or with the order rejected for a reason and the stock unchanged.
//!
//! Read in this order: [`domain`], [`application`] (use cases, saga, ports), [`outbound`] (adapters),
//! `inbound` (gRPC methods), [`Service`].

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;
mod settings;

pub use compose::Service;
pub use settings::Settings;
