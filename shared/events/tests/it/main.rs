//! Guarantees of envelope, bus, relay and consumer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod consumer;
mod envelope;
mod memory;
mod metrics;
mod random;
mod relay;
mod world;
