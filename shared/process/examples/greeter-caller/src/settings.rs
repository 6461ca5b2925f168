//! Settings of the service's own.

use gantry_config::Problems;
use gantry_process::OwnSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings that the service has besides those of all services.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WelcomeSettings {
    /// Text after each greeting; at most 64 bytes.
    pub ending: String,
}

impl OwnSettings for WelcomeSettings {
    fn check(&self, problems: &mut Problems) {
        if self.ending.len() > 64 {
            problems.expected("ending", "at most 64 bytes");
        }
    }
}
