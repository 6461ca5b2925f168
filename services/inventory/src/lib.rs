//! What the shop sells, and how much of it there is.

pub mod application;
pub mod domain;
pub mod outbound;
