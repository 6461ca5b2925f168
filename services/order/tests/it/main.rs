//! Tests of the order service: its repository and saga log, its saga under every fault, and its
//! methods over sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod repository;
mod saga;
mod support;
