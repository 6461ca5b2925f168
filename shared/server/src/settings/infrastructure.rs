//! Settings of health and reflection.

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// Access to reflection, which shows the whole contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReflectionAccess {
    /// Everybody.
    #[default]
    Public,
    /// Callers with valid credentials. Their calls have the rate limits of any other method.
    Authenticated,
    /// Nobody: the reflection service does not exist.
    Off,
}

/// Limits of open calls of health and reflection. The first open call of each connection is always
/// accepted, so that probes are answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct InfrastructureSettings {
    /// Maximum number of open calls. Default 1,000.
    pub max_calls: u32,
    /// Maximum number of open calls per address. Default 100.
    pub max_per_address: u32,
    /// Maximum number of open calls per connection. Default 16.
    pub max_per_connection: u32,
}

impl Default for InfrastructureSettings {
    fn default() -> Self {
        Self { max_calls: 1000, max_per_address: 100, max_per_connection: 16 }
    }
}

impl InfrastructureSettings {
    pub(super) fn problems(&self) -> impl Iterator<Item = InvalidSetting> {
        let count = |key, value| InvalidSetting::unless(value > 0, key, "at least 1");
        [
            count("infrastructure.max_calls", self.max_calls),
            count("infrastructure.max_per_address", self.max_per_address),
            count("infrastructure.max_per_connection", self.max_per_connection),
        ]
        .into_iter()
        .flatten()
    }
}
