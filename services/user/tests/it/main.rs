//! The users from outside: their repository, the hasher, the use cases on fakes, the
//! methods over a socket.
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
