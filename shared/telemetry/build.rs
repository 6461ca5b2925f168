//! Records the commit and the time of the build.
//!
//! Reruns only when HEAD moves, so that an unchanged tree is not rebuilt for a new time.

use std::{env, path::Path, process::Command};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=BUILD_COMMIT");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    println!("cargo::rustc-env=GANTRY_COMMIT={}", commit());
    println!("cargo::rustc-env=GANTRY_BUILD_TIME={}", build_time());
}

/// Returns `BUILD_COMMIT` if the build has no repository (an image), otherwise git's commit.
fn commit() -> String {
    if let Ok(commit) = env::var("BUILD_COMMIT") {
        return commit;
    }
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        // A path that does not exist would make every build rerun this script.
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(|| "unknown".to_owned())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}

fn build_time() -> String {
    let reproducible = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds.parse().ok()?).ok());
    reproducible
        .unwrap_or_else(OffsetDateTime::now_utc)
        .replace_nanosecond(0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "unknown".to_owned())
}
