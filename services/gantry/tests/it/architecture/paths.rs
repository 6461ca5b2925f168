//! Paths in a source file.

use std::{fs, path::Path};

use syn::visit::{self, Visit};

/// Returns all paths in a file, without unit tests. `self` and `super` are resolved.
pub fn named_paths(source: &Path, file: &Path) -> Vec<Vec<String>> {
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
