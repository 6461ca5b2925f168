//! The template service.
//!
//! | file | what is in it |
//! |---|---|
//! | `template/v1/template.proto` | the contract: methods, who may call them, how long they take |
//! | `src/get_summary.rs` | the one use case |
//! | `src/settings.rs`, `config/default.toml` | what can be configured |
//! | `src/service.rs` | all of it put together |

mod get_summary;
mod service;
mod settings;

pub use service::Service;
pub use settings::Settings;

gantry_contract::include_contract!();
