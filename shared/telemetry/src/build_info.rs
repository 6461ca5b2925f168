//! Build information of the process.

use std::fmt;

/// Build information.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuildInfo {
    /// Release, for example `0.1.0`.
    pub version: &'static str,
    /// Abbreviated commit, or `unknown`.
    pub commit: &'static str,
    /// Time of the build in RFC 3339 (UTC).
    pub time: &'static str,
    /// Version, commit and time in the form of `--version`.
    pub summary: &'static str,
}

/// Build information of this process.
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
