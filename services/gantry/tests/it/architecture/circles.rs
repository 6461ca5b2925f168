//! Circles between the files of a crate.
//!
//! Each folder of modules is checked by itself: its own file, and each of its modules together with all
//! submodules. A path counts for the module that defines the item, so that re-exports hide no circle.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// Path of a module below the root of its crate: empty for lib.rs.
type Module = Vec<String>;

/// Returns the circles between the files of a crate, each as text. `source` is its folder src/.
pub fn circles(source: &Path) -> Vec<String> {
    let mut modules = BTreeMap::new();
    read(&mut modules, Module::new(), &source.join("lib.rs"), source, &|path| {
        fs::read_to_string(path).ok()
    });
    let names = modules.iter().flat_map(|(module, file)| {
        let named = file.paths.iter().filter_map(|path| {
            Some((module.clone(), definer(&modules, module, path, 0)?, path.join("::")))
        });
        named.collect::<Vec<_>>()
    });
    let names: Vec<_> = names.filter(|(by, of, _)| by != of).collect();
    let folders: BTreeSet<_> =
        modules.keys().filter_map(|module| module.split_last()).map(|(_, folder)| folder).collect();
    folders.into_iter().flat_map(|folder| circles_within(folder, &names)).collect()
}

/// Imports, paths and modules of a file, without unit tests.
#[derive(Default)]
struct File {
    /// Names imported by `use`, private or not, with their paths.
    imports: BTreeMap<String, Vec<String>>,
    /// All paths except re-exports.
    paths: BTreeSet<Vec<String>>,
    /// Modules in files of their own.
    children: Vec<String>,
}

fn read(
    modules: &mut BTreeMap<Module, File>,
    module: Module,
    path: &Path,
    folder: &Path,
    text: &dyn Fn(&Path) -> Option<String>,
) {
    let source = text(path).unwrap_or_else(|| panic!("{} is there", path.display()));
    let syntax = syn::parse_file(&source).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut file = File::default();
    file.visit_file(&syntax);
    for child in &file.children {
        let module = [&module[..], std::slice::from_ref(child)].concat();
        let beside = folder.join(format!("{child}.rs"));
        let below = folder.join(child);
        let path: PathBuf = if text(&beside).is_some() { beside } else { below.join("mod.rs") };
        read(modules, module, &path, &below, text);
    }
    modules.insert(module, file);
}

/// Returns the module that defines the item of a path, if it is in this crate. `depth` limits re-exports
/// of re-exports.
fn definer(
    modules: &BTreeMap<Module, File>,
    from: &Module,
    path: &[String],
    depth: usize,
) -> Option<Module> {
    let mut at = from.clone();
    let mut path = path;
    let mut rooted = false;
    while let Some((first, rest)) = path.split_first() {
        match first.as_str() {
            "crate" => at = Module::new(),
            "self" => {}
            "super" => drop(at.pop()),
            _ => break,
        }
        (path, rooted) = (rest, true);
    }
    let Some((first, rest)) = path.split_first() else { return Some(at) };
    let child = [&at[..], std::slice::from_ref(first)].concat();
    // A single name is a variable.
    if modules.contains_key(&child) && (rooted || !rest.is_empty()) {
        let rest = [&["self".to_owned()], rest].concat();
        return definer(modules, &child, &rest, depth);
    }
    if let Some(import) = modules[&at].imports.get(first) {
        // A name for itself: `use tokio;`.
        if depth > 8 || import == path {
            return None;
        }
        return definer(modules, &at, &[import, rest].concat(), depth + 1);
    }
    rooted.then_some(at)
}

/// Returns the circles between the parts of one folder: its own file and its modules.
fn circles_within(folder: &[String], names: &[(Module, Module, String)]) -> Vec<String> {
    let part = |module: &Module| {
        let below = module.strip_prefix(folder)?;
        Some(below.first().map_or_else(|| "mod.rs".to_owned(), Clone::clone))
    };
    let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (by, of, path) in names {
        if let (Some(from), Some(to)) = (part(by), part(of))
            && from != to
        {
            let why = format!("{} names {path}", by.join("/"));
            let told = edges.entry(from).or_default().entry(to).or_default();
            // The longest path is the most precise.
            if told.len() < why.len() {
                *told = why;
            }
        }
    }
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for start in edges.keys() {
        let Some(circle) = shortest_circle(&edges, start) else { continue };
        if told.insert(circle.iter().cloned().collect::<BTreeSet<_>>()) {
            let steps = circle.iter().zip(circle.iter().cycle().skip(1));
            let steps = steps.map(|(from, to)| format!("{from} -> {to} ({})", edges[from][to]));
            let steps: Vec<_> = steps.collect();
            circles.push(format!("in /{}: {}", folder.join("/"), steps.join(", ")));
        }
    }
    circles
}

fn shortest_circle(
    edges: &BTreeMap<String, BTreeMap<String, String>>,
    start: &str,
) -> Option<Vec<String>> {
    let mut queue = VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = queue.pop_front() {
        for next in edges.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                queue.push_back([&way[..], std::slice::from_ref(next)].concat());
            }
        }
    }
    None
}

impl File {
    fn import(&mut self, prefix: &[String], tree: &syn::UseTree, exported: bool) {
        let with = |last: &syn::Ident| [prefix, &[last.to_string()]].concat();
        let (alias, path) = match tree {
            syn::UseTree::Path(inner) => {
                return self.import(&with(&inner.ident), &inner.tree, exported);
            }
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(prefix, tree, exported));
                return;
            }
            syn::UseTree::Glob(_) => {
                self.paths.insert(prefix.to_vec());
                return;
            }
            syn::UseTree::Name(name) if name.ident == "self" => {
                (prefix.last().cloned().unwrap_or_default(), prefix.to_vec())
            }
            syn::UseTree::Name(name) => (name.ident.to_string(), with(&name.ident)),
            syn::UseTree::Rename(rename) => (rename.rename.to_string(), with(&rename.ident)),
        };
        if !exported {
            self.paths.insert(path.clone());
        }
        self.imports.insert(alias, path);
    }

    /// Records the paths in the arguments of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path = Vec::new();
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if path.is_empty() || colons == 2 => {
                    path.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    self.paths.insert(std::mem::replace(&mut path, vec![ident.to_string()]));
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
            self.paths.insert(std::mem::take(&mut path));
            colons = 0;
        }
        self.paths.insert(path);
        self.paths.remove(&Vec::new());
        // `pub(super)`
        self.paths.remove(&vec!["super".to_owned()]);
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|ident| ident == "test")
    })
}

impl<'ast> Visit<'ast> for File {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let exported = !matches!(item.vis, syn::Visibility::Inherited);
        self.import(&[], &item.tree, exported);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        match &item.content {
            Some(_) => visit::visit_item_mod(self, item),
            None => self.children.push(item.ident.to_string()),
        }
    }

    fn visit_macro(&mut self, used: &'ast syn::Macro) {
        visit::visit_macro(self, used);
        self.tokens(used.tokens.clone());
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    // `pub(super)` names nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    // Links in documentation and names of derives are no dependencies.
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

/// Returns the circles of a crate with these files.
fn circles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    circles(folder.path())
}

#[test]
fn a_circle_is_found_and_spelled_out() {
    let found = circles_of(&[
        ("lib.rs", "mod call; mod connections; pub use call::Call;"),
        ("call.rs", "use crate::connections::Peer; pub struct Call(Peer);"),
        ("connections/mod.rs", "mod serve; mod peer; pub(crate) use self::peer::Peer;"),
        ("connections/peer.rs", "pub struct Peer;"),
        ("connections/serve.rs", "fn f() { tokio::select! { _ = crate::Call::new() => {} } }"),
    ]);
    let circle = "in /: call -> connections (call names crate::connections::Peer), \
                  connections -> call (connections/serve names crate::Call::new)";
    assert_eq!(found, [circle]);
}

#[test]
fn a_module_that_names_its_own_folder_back_is_a_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; const LIMIT: u32 = 1; fn f() { b::g(); }"),
        ("a/b.rs", "pub fn g() -> u32 { super::LIMIT }"),
    ]);
    let circle = "in /a: b -> mod.rs (a/b names super::LIMIT), mod.rs -> b (a names b::g)";
    assert_eq!(found, [circle]);
}

#[test]
fn re_exports_and_tests_are_no_circle() {
    let found = circles_of(&[
        ("lib.rs", "mod a; mod b; pub use a::A; pub use b::B;"),
        ("a.rs", "pub struct A; #[cfg(test)] mod tests { use crate::b::B; }"),
        ("b.rs", "use crate::A; /// See [`crate::B`].\n pub struct B(A); use std::fmt;"),
    ]);
    assert_eq!(found, [""; 0]);
}
