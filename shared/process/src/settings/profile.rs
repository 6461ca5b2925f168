//! Profile of the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Strictness of the checks at start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Everything that works is accepted.
    #[default]
    Development,
    /// Plaintext to other machines, and missing or weak secrets, are rejected.
    Production,
}
