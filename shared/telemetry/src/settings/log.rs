//! Settings of log lines.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// Format of the lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text for people.
    #[default]
    Pretty,
    /// JSON for programs: one object per line.
    Json,
}

/// Filter of the lines: a level (`info`), or levels by module (`info,gantry_user=debug`). Validated
/// when it is created.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Filter(String);

/// Error of a text that is not a filter.
#[derive(Debug, thiserror::Error)]
#[error("expected a level, or levels by module as in info,gantry_user=debug")]
pub struct InvalidFilter;

impl Filter {
    /// Returns the filter that shows no line.
    pub fn off() -> Self {
        Self("off".to_owned())
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for Filter {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, InvalidFilter> {
        // A single word that is not a level would be parsed as a module name, so a misspelt level
        // would silence the log.
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
        // Validated at creation, so the lossy parser drops nothing.
        Self::builder().parse_lossy(filter.0)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
