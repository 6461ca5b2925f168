//! Orders.

pub mod application;
pub mod domain;
