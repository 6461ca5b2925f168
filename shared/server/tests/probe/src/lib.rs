//! Service whose requests control its behaviour, for tests of the server.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod service;

pub use service::{Probe, Seen};

gantry_contract::include_contract!();
