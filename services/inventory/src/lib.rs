//! The inventory: what the shop sells, and how much of it there is.
//!
//! Orders reserve stock before they are charged, and commit or release it afterwards.
//! What this service promises them: a reservation is all or nothing, however many are made
//! at once nothing is sold twice, and a call that is repeated, late or overtaken by its own
//! undoing changes nothing.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | products, stock, reservations; [`domain::decide`] has every rule between them |
//! | [`application`] | one use case a file, and the ports they need |
//! | [`outbound`] | the repository in SQLite |
//! | `inbound` | the contract's methods, and what a failure is called there |
//! | [`Service`] | all of it put together |
//!
//! `gantry_process` makes a binary of its own of a [`Service`]; `gantry up` opens one itself.

pub mod application;
mod compose;
pub mod domain;
mod inbound;
pub mod outbound;

pub use compose::Service;
