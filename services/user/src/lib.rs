//! The user service: who the users are, and how they prove it.
//!
//! What it promises the others: an address belongs to one user, whatever its case;
//! a request that is repeated creates nobody twice; nobody learns from a login
//! whether an address is known; and no address, password or token is ever in a log
//! line, a `Debug` or an error.
//!
//! Read it from the inside out:
//!
//! | module | what is in it |
//! |---|---|
//! | [`domain`] | users, and the values they are made of |
//! | [`application`] | one use case a file, and the ports they need |
//! | [`outbound`] | the database, the password hash, the tokens |
//! | `inbound` | the contract's methods, and what a failure is called there |
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
pub use settings::{Bootstrap, Passwords, Settings, Tokens};
