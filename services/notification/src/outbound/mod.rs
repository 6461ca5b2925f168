//! Adapters: the implementations of the application's ports.

pub mod clients;
pub mod mail;
pub mod sql;
