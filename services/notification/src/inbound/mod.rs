//! Events of other services.

pub mod events;
