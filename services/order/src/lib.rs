//! Orders: what is bought, and how that is carried through.
//!
//! An order is put together as a draft, priced from the catalogue, and then placed. What
//! placing needs of other services is done by a saga that survives any crash: in the end
//! the order is confirmed and the stock sold, or it is rejected with a reason and the
//! stock is as it was.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | the order and its events, which status may follow which, what it costs |
//! | [`application`] | one use case a file, the saga, and the ports they need |
//! | [`outbound`] | orders and sagas in SQLite, the clients of user and inventory |
//! | `inbound` | the contract's methods, and what a refusal is called there |
//! | [`Settings`] | what can be configured |
//! | [`Service`] | all of it put together |
//!
//! `gantry_process` makes a binary of its own of a [`Service`]; `gantry up` opens one itself.

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;
mod settings;

pub use compose::Service;
pub use settings::{
    Amount, Destination, DiscountSettings, DraftSettings, Percent, PricingSettings, Settings,
    TaxSettings, TierName,
};
