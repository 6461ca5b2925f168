//! Settings of the registry that a process uses.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[cfg(feature = "consul")]
use crate::consul::{self, Consul};
use crate::{
    registry::{PROPAGATION, Registry},
    static_list::{DEFAULT_REFRESH, InvalidList, StaticList},
};

/// Section `discovery` of a service's settings.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Adapter in use.
    pub kind: Kind,
    /// Only for `static`: `HOST:PORT` entries by service.
    #[serde(rename = "static")]
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// Only for `static`: time between two look-ups of a name. At least 1 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub static_refresh: Duration,
    /// True if an unregistered server counts as ready: see [`Registry::ready_unregistered`].
    pub ready_unregistered: bool,
    /// Only for `consul`: settings of the adapter.
    #[cfg(feature = "consul")]
    pub consul: consul::Settings,
}

/// Adapter of a registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A registry in memory, for one process.
    #[default]
    Memory,
    /// A list in the settings.
    Static,
    /// A Consul agent. Needs the feature `consul`.
    #[cfg(feature = "consul")]
    Consul,
}

/// An unusable setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("discovery.{key}: {why}")]
pub struct SettingsError {
    /// Key of the setting, within its section.
    pub key: String,
    /// Reason why the value cannot be used, and the expected value.
    pub why: String,
}

impl From<InvalidList> for SettingsError {
    fn from(invalid: InvalidList) -> Self {
        Self { key: invalid.key(), why: invalid.to_string() }
    }
}

#[cfg(feature = "consul")]
impl From<consul::InvalidSettings> for SettingsError {
    fn from(invalid: consul::InvalidSettings) -> Self {
        Self { key: format!("consul.{}", invalid.key), why: invalid.why }
    }
}

impl Settings {
    /// Returns all problems of the settings of the adapter in use.
    pub fn problems(&self) -> Vec<SettingsError> {
        match self.kind {
            Kind::Memory => Vec::new(),
            Kind::Static => self.list().err().map(SettingsError::from).into_iter().collect(),
            #[cfg(feature = "consul")]
            Kind::Consul => self.consul.problems().into_iter().map(SettingsError::from).collect(),
        }
    }

    /// Returns host and port of the server of the registry: the Consul agent. None for the other adapters,
    /// and for an invalid URL.
    pub fn server(&self) -> Option<(String, u16)> {
        match self.kind {
            Kind::Memory | Kind::Static => None,
            #[cfg(feature = "consul")]
            Kind::Consul => self.consul.host_and_port(),
        }
    }

    fn list(&self) -> Result<StaticList, InvalidList> {
        StaticList::new(&self.endpoints, self.static_refresh)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            endpoints: BTreeMap::new(),
            static_refresh: DEFAULT_REFRESH,
            ready_unregistered: true,
            #[cfg(feature = "consul")]
            consul: consul::Settings::default(),
        }
    }
}

impl Registry {
    /// Creates the registry that the settings describe. Does not connect yet.
    ///
    /// # Errors
    /// [`SettingsError`] naming the first unusable key.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingsError> {
        let registry = match settings.kind {
            Kind::Memory => Self::memory(),
            Kind::Static => Self::of(Arc::new(settings.list()?), PROPAGATION),
            #[cfg(feature = "consul")]
            Kind::Consul => {
                let consul = Consul::new(settings.consul.clone())?;
                Self::of(Arc::new(consul), PROPAGATION)
            }
        };
        Ok(Self { ready_unregistered: settings.ready_unregistered, ..registry })
    }
}
