//! Orders.

pub mod application;
pub mod domain;
pub mod outbound;
