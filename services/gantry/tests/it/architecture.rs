//! The arrows of docs/ARCHITECTURE.md, checked against `cargo metadata` and the paths in the source.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use syn::visit::{self, Visit};

/// Which crate of ours may name which. A crate that is not listed may not exist.
const CRATES: &[(&str, &[&str])] = &[
    ("gantry-config", &[]),
    ("gantry-contract", &[]),
    ("gantry-contract-build", &[]),
    ("gantry-discovery", &["gantry-tls"]),
    ("gantry-money", &[]),
    ("gantry-resilience", &[]),
    ("gantry-saga", &[]),
    ("gantry-telemetry", &[]),
    ("gantry-tls", &[]),
    ("gantry-identity", &["gantry-contract"]),
    ("gantry-sql", &["gantry-contract"]),
    ("gantry-proto", &["gantry-contract", "gantry-contract-build"]),
    (
        "gantry-client",
        &[
            "gantry-contract",
            "gantry-discovery",
            "gantry-identity",
            "gantry-resilience",
            "gantry-tls",
        ],
    ),
    (
        "gantry-server",
        &[
            "gantry-contract",
            "gantry-discovery",
            "gantry-identity",
            "gantry-resilience",
            "gantry-tls",
        ],
    ),
    ("greeter", &["gantry-contract", "gantry-contract-build", "gantry-server", "gantry-telemetry"]),
    // For tests alone: nothing that ships may name them.
    ("gantry-consul-agent", &[]),
    ("gantry-contract-conformance", &["gantry-contract", "gantry-contract-build"]),
    ("gantry-probe", &["gantry-contract", "gantry-contract-build"]),
    ("gantry-test-authority", &[]),
    ("gantry-user", SERVICE),
    ("gantry-inventory", SERVICE),
    ("gantry-order", SERVICE),
    (
        "gantry",
        &[
            "gantry-client",
            "gantry-config",
            "gantry-contract",
            "gantry-contract-build",
            "gantry-discovery",
            "gantry-identity",
            "gantry-inventory",
            "gantry-order",
            "gantry-proto",
            "gantry-resilience",
            "gantry-server",
            "gantry-telemetry",
            "gantry-user",
        ],
    ),
];

/// What a service may name: every shared crate, the contract, and no service.
const SERVICE: &[&str] = &[
    "gantry-client",
    "gantry-config",
    "gantry-contract",
    "gantry-discovery",
    "gantry-identity",
    "gantry-money",
    "gantry-proto",
    "gantry-saga",
    "gantry-server",
    "gantry-sql",
    "gantry-telemetry",
];

/// Libraries that only these crates may use, outside tests.
const KEPT_IN: &[(&str, &[&str])] = &[
    ("axum", &["gantry-server"]),
    ("figment", &["gantry-config"]),
    ("jsonwebtoken", &["gantry-identity"]),
    ("sqlx", &["gantry-sql", "gantry-user", "gantry-inventory", "gantry-order"]),
    ("argon2", &["gantry-user"]),
];

/// Which part of a service may name which other part.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["compose", "settings"]),
    ("lib", &["compose", "settings"]),
    ("compose", &["settings", "inbound", "outbound", "application", "domain"]),
    ("settings", &["domain"]),
    ("inbound", &["application", "domain"]),
    ("outbound", &["application", "domain"]),
    ("application", &["domain"]),
    ("domain", &[]),
];

/// Which crates a part of a service may name; a part that is not listed may name what the manifest has.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("domain", &["std", "core", "alloc", "thiserror", "uuid", "time", "gantry_money"]),
    (
        "application",
        &[
            "std",
            "core",
            "alloc",
            "thiserror",
            "uuid",
            "time",
            "async_trait",
            "tokio",
            "tracing",
            "serde",
            "serde_json",
            "secrecy",
            "gantry_contract",
            "gantry_money",
            "gantry_saga",
        ],
    ),
];

const SERVICES: &[&str] = &["user", "inventory", "order"];

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
    let allowed: BTreeMap<_, _> = CRATES.iter().copied().collect();
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
                    && libraries.get(layer.as_str()).is_some_and(|may| !may.contains(&first))
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

/// Every path a file names, with `self` and `super` resolved; unit tests are left out.
fn named_paths(source: &Path, file: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(file).expect("a source file is text");
    let syntax =
        syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut collector = Paths { module: module_of(source, file), found: Vec::new() };
    collector.visit_file(&syntax);
    collector.found
}

fn module_of(source: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(source).expect("below source").with_extension("");
    let mut module = vec!["crate".to_owned()];
    module
        .extend(relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned()));
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

struct Paths {
    module: Vec<String>,
    found: Vec<Vec<String>>,
}

impl Paths {
    fn record(&mut self, mut path: Vec<String>) {
        let mut base = self.module.clone();
        let mut relative = false;
        while path.first().is_some_and(|first| first == "self" || first == "super") {
            relative = true;
            if path.remove(0) == "super" {
                base.pop();
            }
        }
        if relative {
            base.extend(path);
            path = base;
        }
        self.found.push(path);
    }

    fn record_use(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let mut path = prefix.to_vec();
        match tree {
            syn::UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.record_use(&path, &inner.tree);
            }
            syn::UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.record(path);
            }
            syn::UseTree::Rename(rename) => {
                path.push(rename.ident.to_string());
                self.record(path);
            }
            syn::UseTree::Glob(_) => self.record(path),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.record_use(prefix, tree);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.record_use(&[], &item.tree);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
        });
        if !test {
            self.module.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.module.pop();
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.record(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

#[test]
fn the_path_reader_sees_what_it_must() {
    let syntax = syn::parse_str::<syn::File>(
        "use super::super::outbound::{sqlite::Store, clients}; use crate::domain as d;
         mod inner { fn f() { super::g(); sqlx::query(\"\"); } }
         #[cfg(test)] mod tests { use crate::compose; }",
    )
    .expect("valid Rust");
    let module = ["crate", "application", "place_order"].map(str::to_owned).to_vec();
    let mut collector = Paths { module, found: Vec::new() };
    collector.visit_file(&syntax);
    let found: Vec<String> = collector.found.iter().map(|path| path.join("::")).collect();
    for path in [
        "crate::outbound::sqlite::Store",
        "crate::outbound::clients",
        "crate::domain",
        "crate::application::place_order::g",
        "sqlx::query",
    ] {
        assert!(found.iter().any(|seen| seen == path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|seen| seen.contains("compose")), "{found:?}");
}
