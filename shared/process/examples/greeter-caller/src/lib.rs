//! A service that calls another one: settings, identity, metrics, and one peer.
//!
//! `cargo run -p greeter-caller -- --config FILE`, beside `cargo run -p greeter`. FILE names the
//! keys: `welcome.identity.key_file`, and `welcome.identity.trusted` for its callers.

mod service;
mod settings;

pub use self::{service::Welcome, settings::WelcomeSettings};

gantry_contract::include_contract!();
