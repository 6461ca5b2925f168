//! The `gantry` binary: the suite in one process, and tools for it.
//!
//! - [`cli`]: the command line;
//! - [`contract`]: export of the contract for other languages and for readers;
//! - [`suite`]: the table of services;
//! - `execute`: the way from the command line to its command;
//! - [`keys`]: key pairs of further services;
//! - [`new`]: new services, each a workspace of its own;
//! - [`up`]: all services in one process, each on its own loopback port;
//! - [`sagas`]: list, show, resume and abort sagas of a running suite;
//! - [`demo`]: a checked walk through a running suite;

pub mod cli;
pub mod contract;
pub mod demo;
mod execute;
pub mod keys;
pub mod new;
pub mod sagas;
pub mod suite;
pub mod up;

pub use self::execute::execute;
