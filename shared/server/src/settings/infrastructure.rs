//! Settings of health and reflection.

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// Access to reflection, which tells callers the whole contract.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReflectionAccess {
    /// Everybody.
    #[default]
    Public,
    /// Callers with credentials that hold; their calls have the limits of any other method.
    Authenticated,
    /// Nobody: the server has no such service.
    Off,
}

/// Limits of calls of health and reflection, which have no other. The first open call of each
/// connection is let in whatever the limits: probes are to be answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct InfrastructureSettings {
    /// Most open calls. Default 1,000.
    pub max_calls: u32,
    /// Most open calls of one address. Default 100.
    pub max_per_address: u32,
    /// Most open calls of one connection. Default 16.
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
