//! The server over real sockets: accepted calls, refusals and the drain.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod admin;
mod build;
mod compression;
mod connections;
mod crowds;
mod deadline;
mod drain;
mod foreign;
mod health;
mod identity;
mod infrastructure;
mod layers;
mod limits;
mod log;
mod metrics;
mod panic;
mod peers;
mod raw;
mod reflection;
mod refusals;
mod registered;
mod streams;
mod tls;
mod uploads;
mod windows;
mod wire;
mod world;
