//! Tests of the user service: its repository, its hasher, its use cases on fakes, and its methods
//! over a socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod argon2id;
mod repository;
mod use_cases;
