//! Guarantees of the engine under failures, crashes and lost leases.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crashes;
mod definitions;
mod leases;
mod operator;
mod outcomes;
mod random;
mod timing;
mod upkeep;
mod world;
