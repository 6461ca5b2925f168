//! The ports of the application, on what is really there.

pub mod sqlite;
