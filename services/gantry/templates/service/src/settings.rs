//! The service's own settings.

use gantry_config::Problems;
use gantry_process::OwnSettings;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Settings in the table `[template]`, besides those that every service has.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Title of the summary.
    pub title: String,
}

impl OwnSettings for Settings {
    fn check(&self, problems: &mut Problems) {
        if self.title.is_empty() {
            problems.expected("title", "a text");
        }
    }
}
