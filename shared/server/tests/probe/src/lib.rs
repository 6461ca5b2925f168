//! A service whose methods do as they are told: what the server is tested with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod service;

pub use service::{Probe, Seen};

gantry_contract::include_contract!();
