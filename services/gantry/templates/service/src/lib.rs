//! The template service.
//!
//! | file | content |
//! |---|---|
//! | `template/v1/template.proto` | the contract: methods, their access rules and timeouts |
//! | `src/get_summary.rs` | the use case |
//! | `src/settings.rs`, `config/default.toml` | its settings and their defaults |
//! | `src/service.rs` | composition |

mod get_summary;
mod service;
mod settings;

pub use service::Service;
pub use settings::Settings;

gantry_contract::include_contract!();
