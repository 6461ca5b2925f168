//! Settings of log lines.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing_subscriber::{EnvFilter, filter::LevelFilter};

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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected levels (off, error, warn, info, debug, trace) or MODULE=LEVEL, separated by commas as in \
     info,gantry_user=debug; {part:?} is neither"
)]
pub struct InvalidFilter {
    /// Part of the text that is wrong.
    pub part: String,
}

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
        let parts = || text.split(',').filter(|part| !part.is_empty());
        let wrong = if parts().next().is_none() { Some("") } else { parts().find(is_wrong) };
        if let Some(part) = wrong {
            return Err(InvalidFilter { part: part.to_owned() });
        }
        Ok(Self(text))
    }
}

fn is_wrong(part: &&str) -> bool {
    // A bare word would be parsed as a module name, so a misspelt level would silence the log.
    let is_level = part.parse::<LevelFilter>().is_ok();
    !is_level && (!part.contains(['=', '[']) || EnvFilter::builder().parse(part).is_err())
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.0
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
