//! Settings of a process and of the service in it.

mod common;
mod process;
mod schema;
mod service;

pub use common::CommonSettings;
pub use process::ProcessSettings;
pub use service::{NoSettings, OwnSettings, ServiceSettings, add_process_defaults};

/// Settings of a service that are lists of trust and grants: all sources add up.
pub const ADDING: &[&str] = &["*.identity.trusted", "*.identity.grants.*"];
