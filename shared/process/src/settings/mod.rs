//! Settings of a process and of the service in it.

mod common;
mod process;
mod profile;
mod schema;
mod service;

pub use common::{CommonSettings, StorageSettings};
pub use process::{ProcessSettings, check_telemetry, check_telemetry_files};
pub use profile::Profile;
pub use service::{NoSettings, OwnSettings, ServiceSettings, add_process_defaults};

/// Lists of trusted keys and grants: the entries of all sources add up.
pub const ADDING: &[&str] = &["*.identity.trusted", "*.identity.grants.*"];

/// Top-level table that all services of a process share, as [`gantry_config::Sources::sharing`] does.
pub const SHARED: &str = "database";
