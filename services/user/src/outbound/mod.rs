//! What the ports are made of: a database, a password hash, signed tokens.

pub mod argon2id;
pub mod sqlite;
pub mod tokens;
