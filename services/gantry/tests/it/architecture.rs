//! The arrows of docs/ARCHITECTURE.md ([`arrows`]), checked against `cargo metadata` and the paths in the source.

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
    arrows::{CRATES, KEPT_IN, LAYERS, LIBRARIES, SERVICE},
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

fn shipped(package: &Package) -> BTreeSet<&str> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
        .map(|dependency| dependency.name.as_str())
        .collect()
}

#[test]
fn crates_name_only_the_crates_they_may() {
    let metadata = metadata();
    let ours: BTreeSet<&str> = metadata.packages.iter().map(|p| p.name.as_str()).collect();
    let mut allowed: BTreeMap<_, Vec<_>> =
        CRATES.iter().map(|(name, may)| ((*name).to_owned(), may.to_vec())).collect();
    let services: Vec<_> = SERVICES.iter().map(|service| format!("gantry-{service}")).collect();
    allowed.extend(services.iter().map(|service| (service.clone(), SERVICE.to_vec())));
    allowed.entry("gantry".to_owned()).or_default().extend(services.iter().map(String::as_str));
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(may) = allowed.get(name) else {
            wrong.push(format!("{name} is not in the table of crates"));
            continue;
        };
        for used in shipped(package) {
            if ours.contains(used) && !may.contains(&used) {
                wrong.push(format!("{name} names {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_service_is_a_row_of_the_suite() {
    let folders = fs::read_dir(root().join("services")).expect("a folder of services");
    let folders = folders.map(|folder| folder.expect("an entry").path());
    let services: BTreeSet<_> = folders
        .filter(|folder| folder.join("src/compose.rs").exists())
        .map(|folder| folder.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    let rows: BTreeSet<_> = SERVICES.iter().map(|service| (*service).to_owned()).collect();
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
            for (library, keepers) in KEPT_IN {
                if used == *library && !keepers.contains(&package.name.as_str()) {
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
    for service in SERVICES {
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

/// Crates that a package links, with its default features.
fn linked(package: &str) -> BTreeSet<String> {
    let mut tree = Command::new(env!("CARGO"));
    tree.current_dir(root()).args(["tree", "--offline", "--locked", "--edges", "normal"]);
    tree.args(["--prefix", "none", "--format", "{lib}", "--package", package]);
    // Else features are those of the whole workspace.
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

/// Whether the path names what could reach a peer without `gantry-client`, or is too short to
/// tell.
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
    for service in SERVICES.iter().chain(&["gantry"]) {
        let source = root().join("services").join(service).join("src");
        for file in rust_files(&source) {
            // Benchmarks measure the client against others; a test reads the admin pages.
            if file.starts_with(source.join("bench")) || file.ends_with("tests.rs") {
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
            let main =
                file.ends_with("src/main.rs") && !file.starts_with(root().join("services/gantry"));
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

/// The names under which a service's manifest brings crates in, and the language's own.
fn extern_crates(service: &str) -> BTreeSet<String> {
    let name = format!("gantry-{service}");
    let metadata = metadata();
    let package = metadata.packages.iter().find(|p| p.name.as_str() == name).expect("a service");
    let own = ["std", "core", "alloc"].map(str::to_owned);
    shipped(package).into_iter().map(|name| name.replace('-', "_")).chain(own).collect()
}

/// `application` for src/application/place_order.rs, `compose` for src/compose.rs.
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
