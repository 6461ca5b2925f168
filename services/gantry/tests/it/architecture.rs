//! Check of the arrows of docs/ARCHITECTURE.md ([`arrows`]) against `cargo metadata` and the paths in the
//! source.

mod arrows;
mod circles;
mod paths;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

use self::{
    arrows::{APART, KEPT_IN, LAYERS, LIBRARIES, LIBRARY_CRATES},
    circles::circles,
    paths::named_paths,
};
use crate::cluster::SERVICES;

fn metadata() -> Metadata {
    MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned(), "--locked".to_owned()])
        .exec()
        .expect("cargo metadata answers")
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("services/gantry is two below")
        .to_owned()
}

/// Returns the names of all services: those of the suite and those apart.
fn services() -> impl Iterator<Item = &'static str> {
    SERVICES.iter().chain(APART).copied()
}

fn shipped(package: &Package) -> BTreeSet<&str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect()
}

/// Returns the name of a crate of ours without `gantry-`.
fn short(name: &str) -> &str {
    name.strip_prefix("gantry-").unwrap_or(name)
}

/// Kind of a crate of ours.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Library crate, with the crates that it may name.
    Library(&'static str),
    /// Service of the suite.
    Service,
    /// The binary `gantry`.
    Gantry,
    /// Benchmark, test, example or template.
    Aid,
}

impl Kind {
    fn of(package: &Package) -> Self {
        let name = short(&package.name);
        let folder = package.manifest_path.parent().expect("a manifest has a folder");
        let in_shared = folder.parent().expect("below the root") == root().join("shared");
        let row = LIBRARY_CRATES.iter().find(|(library, _)| *library == name);
        match row {
            Some((_, may)) => Self::Library(may),
            None if in_shared => Self::Library(""),
            None if services().any(|service| service == name) => Self::Service,
            None if name == "gantry" => Self::Gantry,
            None => Self::Aid,
        }
    }

    fn may_name(self, name: &str, kind: Self) -> bool {
        match (self, kind) {
            (Self::Library(may), _) => may.split(' ').any(|one| one == name),
            (_, Self::Library(_)) => true,
            (Self::Gantry, kind) => kind == Self::Service,
            (Self::Aid, kind) => kind != Self::Service,
            (Self::Service, _) => false,
        }
    }
}

#[test]
fn crates_name_only_the_crates_they_may() {
    let metadata = metadata();
    let kinds: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (package.name.as_str(), Kind::of(package)))
        .collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        for used in shipped(package) {
            if let Some(kind) = kinds.get(used)
                && !kinds[name].may_name(short(used), *kind)
            {
                wrong.push(format!("{name} names {used}"));
            }
        }
    }
    let names: Vec<_> = kinds.keys().map(|name| short(name)).collect();
    let rows = LIBRARY_CRATES.iter().flat_map(|(name, may)| may.split(' ').chain([*name]));
    let unknown = rows.filter(|name| !name.is_empty() && !names.contains(name));
    wrong.extend(unknown.map(|name| format!("no crate is named {name}")));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_library_names_no_service_and_a_service_no_other() {
    let (library, none) = (Kind::Library("contract discovery"), Kind::Library(""));
    assert!(library.may_name("contract", none) && !library.may_name("tls", none));
    assert!(!library.may_name("user", Kind::Service) && !none.may_name("replica", Kind::Aid));
    assert!(Kind::Service.may_name("tls", none));
    assert!(!Kind::Service.may_name("user", Kind::Service));
    assert!(
        Kind::Gantry.may_name("user", Kind::Service) && !Kind::Aid.may_name("user", Kind::Service)
    );
}

#[test]
fn every_service_is_a_row_of_the_suite_or_apart() {
    let folders = fs::read_dir(root().join("services")).expect("a folder of services");
    let folders = folders.map(|folder| folder.expect("an entry").path());
    let services: BTreeSet<_> = folders
        .filter(|folder| folder.join("src/compose.rs").exists())
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let rows: BTreeSet<_> = self::services().map(str::to_owned).collect();
    assert_eq!(services, rows);
    let local = |service: &String| !root().join(format!("deploy/local/{service}.toml")).exists();
    let missing: Vec<_> = rows.iter().filter(|service| local(service)).collect();
    assert!(missing.is_empty(), "deploy/local has no settings of {missing:?}");
}

#[test]
fn libraries_stay_in_the_crates_that_own_them() {
    let mut wrong = Vec::new();
    for package in &metadata().packages {
        for used in shipped(package) {
            let name = short(&package.name);
            let keeps = |keeper| {
                keeper == name || keeper == "SERVICES" && services().any(|service| service == name)
            };
            for (library, keepers) in KEPT_IN {
                if used == *library && !keepers.split(' ').any(keeps) {
                    wrong.push(format!("{} uses {library}", package.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_parts_of_a_service_name_only_the_parts_below_them() {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let libraries: BTreeMap<_, _> = LIBRARIES.iter().copied().collect();
    let mut wrong = Vec::new();
    let mut read = 0;
    for service in services() {
        let source = root().join("services").join(service).join("src");
        let externs = extern_crates(service);
        for file in rust_files(&source) {
            let layer = layer_of(&source, &file);
            let Some(may) = layers.get(layer.as_str()) else {
                wrong.push(format!("{}: no part of a service has this name", file.display()));
                continue;
            };
            read += 1;
            for path in named_paths(&source, &file) {
                let first = path[0].as_str();
                let second = path.get(1).map(String::as_str).unwrap_or_default();
                if first == "crate" && layers.contains_key(second) {
                    if second != layer && !may.contains(&second) {
                        wrong.push(format!("{}: {layer} names {second}", file.display()));
                    }
                } else if externs.contains(first)
                    && libraries.get(layer.as_str()).is_some_and(|may| {
                        !may.contains(&first)
                            && !may.contains(&format!("{first}::{second}").as_str())
                    })
                {
                    wrong.push(format!("{}: {layer} names {first}", file.display()));
                } else if first == "sqlx" && layer != "outbound" {
                    wrong.push(format!("{}: sqlx outside outbound", file.display()));
                }
            }
        }
    }
    assert!(read > 30, "only {read} files were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Returns the crates that a package links with its default features.
fn linked(package: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root()).args(["tree", "--offline", "--locked", "--edges", "normal"]);
    tree.args(["--prefix", "none", "--format", "{lib}", "--package", package]);
    // It would add the features that the rest of the workspace needs.
    tree.env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION");
    let output = tree.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| Some(line.split_whitespace().next()?.to_owned())).collect()
}

#[test]
fn a_client_without_consul_links_no_http_client_for_it() {
    assert!(linked("gantry-process").contains("hyper_rustls"));
    for package in ["gantry-client", "gantry-server"] {
        let linked = linked(package);
        assert!(linked.contains("gantry_discovery"), "{linked:?}");
        assert!(!linked.contains("hyper_rustls"), "{package}");
    }
}

/// Returns true if an item of this path could reach a peer without `gantry-client`, or if the path is
/// too short to exclude that.
fn connects(path: &[String]) -> bool {
    const SOCKETS: &[&str] = &["TcpStream", "TcpSocket", "UnixStream", "UdpSocket"];
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["tonic"] | ["tonic", "self" | "transport", ..] | ["hyper" | "hyper_util" | "h2", ..] => {
            true
        }
        path => path.iter().any(|name| SOCKETS.contains(name)),
    }
}

#[test]
fn services_reach_their_peers_through_the_client_alone() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for service in services().chain(["gantry"]) {
        let source = root().join("services").join(service).join("src");
        for file in rust_files(&source) {
            // A test reads the admin pages.
            if file.ends_with("tests.rs") {
                continue;
            }
            read += 1;
            let paths = named_paths(&source, &file).into_iter();
            wrong.extend(paths.filter(|path| connects(path)).map(|path| (file.clone(), path)));
        }
    }
    assert!(read > 100, "only {read} files were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_way_around_the_client_is_noticed() {
    for (path, way) in [
        ("tonic::transport::Endpoint", true),
        ("tonic", true),
        ("hyper_util::client::legacy::Client", true),
        ("tokio::net::TcpStream", true),
        ("tonic::Status", false),
        ("tokio::net::TcpListener", false),
    ] {
        let path: Vec<_> = path.split("::").map(str::to_owned).collect();
        assert_eq!(connects(&path), way, "{path:?}");
    }
}

#[test]
fn files_are_short_and_mains_only_wire() {
    let mut wrong = Vec::new();
    for folder in ["proto", "shared", "services"] {
        for file in rust_files(&root().join(folder)) {
            let lines = fs::read_to_string(&file).expect("a source file is text").lines().count();
            let main = file.ends_with("src/main.rs")
                && !file.starts_with(root().join("services/gantry/tests"));
            if lines > if main { 40 } else { 500 } {
                wrong.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_files_of_the_server_are_in_a_circle() {
    let circles = circles(&root().join("shared/server/src"));
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn no_files_of_the_client_are_in_a_circle() {
    let circles = circles(&root().join("shared/client/src"));
    assert!(circles.is_empty(), "{circles:#?}");
}

/// Returns the names of the crates in a service's manifest and of the standard library's.
fn extern_crates(service: &str) -> BTreeSet<String> {
    let name = format!("gantry-{service}");
    let metadata = metadata();
    let package = metadata.packages.iter().find(|p| p.name.as_str() == name).expect("a service");
    let own = ["std", "core", "alloc"].map(str::to_owned);
    shipped(package).into_iter().map(|name| name.replace('-', "_")).chain(own).collect()
}

/// Returns `application` for src/application/place_order.rs, and `compose` for src/compose.rs.
fn layer_of(source: &Path, file: &Path) -> String {
    let first = file.strip_prefix(source).expect("below source").components().next();
    let first = PathBuf::from(first.expect("a file has a name").as_os_str());
    first.file_stem().expect("a file has a name").to_string_lossy().into_owned()
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
