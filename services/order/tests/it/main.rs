//! The orders from outside: their repository and saga log, the saga under every fault,
//! and the methods over sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod repository;
mod saga;
mod saga_log;
mod support;
