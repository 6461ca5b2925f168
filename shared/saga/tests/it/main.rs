//! What the engine promises, under every failure that can be made.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crashes;
mod leases;
mod outcomes;
mod random;
mod timing;
mod world;
