//! Adapters: the implementations of the application's ports.

pub mod argon2id;
pub mod sql;
pub mod tokens;
