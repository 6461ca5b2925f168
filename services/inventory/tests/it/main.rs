//! The inventory from outside: its repository, and its methods over a socket.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a test that fails")]

mod repository;
