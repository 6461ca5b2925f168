//! The `gantry` binary: the suite in one process, and the tools around it.
//!
//! - [`cli`]: the command line;
//! - [`contract`]: what the contract says to those who do not read Rust;
//! - [`suite`]: the table of services;
//! - [`keys`]: key pairs of further services;
//! - [`new`]: a service as a workspace of its own;
//! - [`up`]: every service on its own loopback port, calls between them crossing real sockets;
//! - [`demo`]: a newcomer's walk through a running suite;
//! - [`mod@bench`]: what the suite promises, measured.

pub mod bench;
pub mod cli;
pub mod contract;
pub mod demo;
pub mod keys;
pub mod new;
pub mod suite;
pub mod up;
