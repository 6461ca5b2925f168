//! The user service: who the users are, and how they prove it.

pub mod application;
pub mod domain;
pub mod outbound;
