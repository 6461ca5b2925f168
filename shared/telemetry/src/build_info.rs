//! What the process was built from.

use std::fmt;

/// What the process was built from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// The release: `0.1.0`.
    pub version: &'static str,
    /// The commit, shortened, or `unknown`.
    pub commit: &'static str,
    /// When it was built, in RFC 3339 (UTC).
    pub time: &'static str,
    /// All three, as `--version` shows them.
    pub summary: &'static str,
}

/// What this process was built from.
pub const BUILD: BuildInfo = BuildInfo {
    version: env!("CARGO_PKG_VERSION"),
    commit: env!("GANTRY_COMMIT"),
    time: env!("GANTRY_BUILD_TIME"),
    summary: concat!(
        env!("CARGO_PKG_VERSION"),
        " (commit ",
        env!("GANTRY_COMMIT"),
        ", built ",
        env!("GANTRY_BUILD_TIME"),
        ")"
    ),
};

impl fmt::Display for BuildInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.summary)
    }
}
