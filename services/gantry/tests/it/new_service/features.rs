//! Dependencies of another workspace as this workspace builds them.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use serde_json::Value;

use super::{cargo, succeeds, write_package};
use crate::architecture::root;

/// Features of a package in one of its builds: those of build scripts and macros are their own.
type Builds = BTreeMap<(bool, String), Vec<String>>;

/// Features and versions with which `cargo test --workspace` builds the crates of the registry.
fn builds() -> Builds {
    let mut graph = cargo(&root());
    graph.args(["test", "--workspace", "--offline", "--locked", "--unit-graph"]);
    // With a target, build scripts and macros differ from the rest by their platform. The graph has no
    // stable form.
    graph.args(["--target", "host-tuple", "-Z", "unstable-options"]).env("RUSTC_BOOTSTRAP", "1");
    let graph: Value = serde_json::from_str(&succeeds(&mut graph)).unwrap();
    let mut builds = Builds::new();
    for unit in graph["units"].as_array().unwrap() {
        let package = unit["pkg_id"].as_str().unwrap();
        let is_library = unit["mode"] == "build" && unit["target"]["kind"][0] != "custom-build";
        // Only this workspace optimizes some of its dependencies.
        let is_optimized = unit["profile"]["opt_level"] != "0";
        if package.starts_with("registry+") && is_library && !is_optimized {
            let features = unit["features"].as_array().unwrap().iter();
            let features = features.map(|feature| feature.as_str().unwrap().to_owned());
            let build = (unit["platform"].is_null(), package.to_owned());
            builds.entry(build).or_default().extend(features);
        }
    }
    builds
}

/// Adds a package to the workspace `made` that depends on what this workspace depends on, with the same
/// features. Built beside the packages of `made`, it lets Cargo reuse this workspace's artifacts.
pub(super) fn like_the_workspace(made: &Path) {
    let mut manifest = "[package]\nname = \"features\"\nedition = \"2024\"\n".to_owned();
    let mut table = None;
    for ((host, package), features) in builds() {
        if table != Some(host) {
            let name = if host { "build-dependencies" } else { "dependencies" };
            writeln!(manifest, "[{name}]").unwrap();
            table = Some(host);
        }
        let (_, package) = package.rsplit_once('#').unwrap();
        let (name, version) = package.split_once('@').unwrap();
        // A requirement has no build metadata.
        let version = version.split_once('+').map_or(version, |(version, _)| version);
        let key = package.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        writeln!(
            manifest,
            "{key} = {{ package = {name:?}, version = \"={version}\", default-features = false, \
             features = {features:?} }}",
        )
        .unwrap();
    }
    write_package(&made.join("features"), &manifest);
    fs::write(made.join("features/build.rs"), "fn main() {}\n").unwrap();
    let path = made.join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[workspace]\n", "[workspace]\nmembers = [\"features\"]\n"))
        .unwrap();
    fs::copy(root().join("Cargo.lock"), made.join("Cargo.lock")).unwrap();
}
