//! Where the database is and how many connections it has.

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use derive_setters::Setters;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to open a database. In a settings file:
///
/// ```toml
/// [database]
/// path = ".gantry/user.db"
/// readers = 4
/// busy_timeout = "5s"
/// acquire_timeout = "5s"
/// ```
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// The database file; its folder is made if it is missing. No URL and no name of a database in
    /// memory.
    #[serde(deserialize_with = "crate::path::deserialize")]
    #[schemars(with = "PathBuf")]
    #[setters(into)]
    pub path: PathBuf,
    /// Connections that read.
    #[serde(default = "Settings::default_readers")]
    pub readers: NonZeroU32,
    /// How long SQLite waits for a lock that another connection holds.
    #[serde(default = "Settings::default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub busy_timeout: Duration,
    /// How long a caller waits for a connection.
    #[serde(default = "Settings::default_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub acquire_timeout: Duration,
}

impl Settings {
    /// The defaults, for this file.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: path.as_ref().to_owned(),
            readers: Self::default_readers(),
            busy_timeout: Self::default_timeout(),
            acquire_timeout: Self::default_timeout(),
        }
    }

    fn default_readers() -> NonZeroU32 {
        NonZeroU32::MIN.saturating_add(3)
    }

    fn default_timeout() -> Duration {
        Duration::from_secs(5)
    }
}
