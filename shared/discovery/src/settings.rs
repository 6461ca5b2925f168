//! Which registry a process uses, as it stands in the configuration.

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

/// The `discovery` section of a service's configuration.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// Which adapter.
    pub kind: Kind,
    /// For `static`: `HOST:PORT` entries by service.
    #[serde(rename = "static")]
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// For `static`: how often names are looked up again: at least 1 s.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub static_refresh: Duration,
    /// Whether a server counts as ready while it is not registered: see
    /// [`Registry::ready_unregistered`].
    pub ready_unregistered: bool,
    /// For `consul`: how it is reached.
    #[cfg(feature = "consul")]
    pub consul: consul::Settings,
}

/// The adapters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// Everything in this process.
    #[default]
    Memory,
    /// A list in the configuration.
    Static,
    /// A Consul agent; with the feature `consul`.
    #[cfg(feature = "consul")]
    Consul,
}

/// A key, within the section, whose value no registry can be made with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("discovery.{key}: {why}")]
pub struct SettingsError {
    /// The key, within the section.
    pub key: String,
    /// What is wrong with it, and what was expected.
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
    /// Everything that is wrong with what the kind in use needs.
    pub fn problems(&self) -> Vec<SettingsError> {
        match self.kind {
            Kind::Memory => Vec::new(),
            Kind::Static => self.list().err().map(SettingsError::from).into_iter().collect(),
            #[cfg(feature = "consul")]
            Kind::Consul => self.consul.problems().into_iter().map(SettingsError::from).collect(),
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
    /// The registry the settings describe. Connects to nothing yet.
    ///
    /// # Errors
    /// [`SettingsError`] naming the key that is wrong.
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
