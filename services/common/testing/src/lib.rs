//! Helpers for the tests of the shop's services. No service depends on them outside of its tests.
//!
//! - [`Folder`], [`Running`]: a serving service with its own keys, settings and database;
//! - [`bearer`], [`new_id`], [`euros`]: parts of requests; [`refusal`], [`refused`], [`wrong_fields`]: parts of refusals;
//! - [`eventually`]: a wait for a state;
//! - [`repository`]: the contract suite of a repository, run on every adapter, with its fixtures.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod calls;
mod eventually;
mod folder;
pub mod repository;
mod running;

pub use calls::{bearer, euros, new_id, refusal, refused, wrong_fields};
pub use eventually::eventually;
pub use folder::Folder;
pub use running::{Running, Serving};
