//! Choice of the endpoint for a call.

use derive_setters::Setters;
use gantry_resilience::balance::{self, Subset};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::invalid::InvalidSetting;

/// Choice of the endpoint for a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct BalanceSettings {
    /// Policy of the choice.
    pub policy: BalancePolicy,
    /// Subset of the endpoints that is called. Default: all.
    pub subset: SubsetSettings,
}

/// Policy by which an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BalancePolicy {
    /// Cheaper of two by time to response headers and calls in flight.
    #[default]
    PeakEwma,
    /// Round robin: for endpoints that are alike and never slow.
    RoundRobin,
    /// One of two with fewer calls in flight.
    LeastRequest,
}

/// Subset of the endpoints that is called. Other endpoints are not connected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct SubsetSettings {
    /// Registered version, or its leading parts: `2.1` matches `2.1` and `2.1.7`, not `2.10`.
    #[setters(into)]
    pub version: Option<String>,
    /// Required tags, all of them.
    pub tags: Vec<String>,
    /// Fallback if the subset is empty.
    pub otherwise: Otherwise,
}

/// Fallback if no endpoint is in the subset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// None: the call fails. For endpoints that differ in what they do.
    #[default]
    Nobody,
    /// All endpoints. For a preference.
    Everybody,
}

impl BalanceSettings {
    pub(crate) fn to_policy(&self) -> balance::Policy {
        match self.policy {
            BalancePolicy::PeakEwma => balance::Policy::PeakEwma,
            BalancePolicy::RoundRobin => balance::Policy::RoundRobin,
            BalancePolicy::LeastRequest => balance::Policy::LeastRequest,
        }
    }

    pub(crate) fn to_subset(&self) -> Subset {
        let SubsetSettings { version, tags, otherwise } = &self.subset;
        Subset {
            version: version.clone(),
            tags: tags.clone(),
            otherwise: match otherwise {
                Otherwise::Nobody => balance::Otherwise::Nobody,
                Otherwise::Everybody => balance::Otherwise::Everybody,
            },
        }
    }

    pub(super) fn problems(&self) -> Vec<InvalidSetting> {
        let is_blank = |text: &String| text.trim().is_empty();
        [
            ("balance.subset.version", self.subset.version.as_ref().is_some_and(is_blank)),
            ("balance.subset.tags", self.subset.tags.iter().any(is_blank)),
        ]
        .into_iter()
        .filter(|(_, blank)| *blank)
        .map(|(key, _)| InvalidSetting::new(key, "must not be empty"))
        .collect()
    }
}
