//! The `telemetry` section of a service's configuration.

use std::fmt;

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// How the process logs.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// For whom lines are written.
    pub format: Format,
    /// Which lines are written.
    pub filter: Filter,
}

/// For whom lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Pretty,
    /// For programs: an object a line.
    Json,
}

/// Which lines are written: a level (`info`), or levels by module
/// (`info,gantry_user=debug`). Valid once it exists.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(String);

/// A text that is no filter.
#[derive(Debug, thiserror::Error)]
#[error("expected a level, or levels by module as in info,gantry_user=debug")]
pub struct InvalidFilter;

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for Filter {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, InvalidFilter> {
        // A single word that is no level would be taken as the name of a module, and
        // a misspelt level would silence everything.
        let misspelt = !text.contains(['=', ',']) && text.parse::<tracing::Level>().is_err();
        if misspelt && text != "off" || EnvFilter::builder().parse(&text).is_err() {
            return Err(InvalidFilter);
        }
        Ok(Self(text))
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}

impl From<Filter> for EnvFilter {
    fn from(filter: Filter) -> Self {
        // Parsed once already: nothing is dropped here.
        Self::builder().parse_lossy(filter.0)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
