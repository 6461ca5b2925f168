//! What the tests of the shop's services share. For tests alone: nothing that ships names it.
//!
//! - [`Folder`] and [`Running`]: a service with keys, settings and a database of its own, open and serving;
//! - [`bearer`], [`new_id`], [`euros`]: what callers send; [`refusal`], [`refused`], [`wrong_fields`]: what they are told;
//! - [`repository`]: the suite that every adapter of a repository must pass, and what it needs.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod calls;
mod folder;
pub mod repository;
mod running;

pub use calls::{bearer, euros, new_id, refusal, refused, wrong_fields};
pub use folder::Folder;
pub use running::{Running, Serving};
