//! Guarantees of the engine under every failure that a test can cause.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crashes;
mod definitions;
mod leases;
mod operator;
mod outcomes;
mod random;
mod timing;
mod world;
