//! Tests of the inventory service: its rules, its repository, and its methods over a socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod decide;
mod repository;
mod support;
