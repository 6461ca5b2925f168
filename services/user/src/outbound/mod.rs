//! Adapters: the implementations of the application's ports.

pub mod argon2id;
pub mod sqlite;
pub mod tokens;
