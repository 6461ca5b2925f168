//! Sources of settings.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsString,
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use serde::Serialize;

use crate::{bounds::Bound, dotenv, links, problem::Problem, start::ENV_FILE, tree};

pub(crate) const PREFIX: &str = "GANTRY_";

/// Name of the defaults as a source, whichever file they stand in.
const DEFAULTS: &str = "built-in defaults";

/// Sources, the later ones overriding the earlier ones.
#[derive(Debug, Default)]
pub struct Sources {
    pub(crate) layers: Vec<Layer>,
    pub(crate) problems: Vec<Problem>,
    /// Keys whose lists add up.
    pub(crate) adding: Vec<&'static str>,
    /// Bounds of numbers and durations, with the key of the table they stand in.
    pub(crate) bounds: Vec<(&'static str, &'static [Bound])>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) service_links: Vec<String>,
}

/// The values of one source.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: Kind,
    /// As messages show it; also what ties a merged value to its layer.
    pub(crate) name: String,
    values: Dict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Defaults,
    File,
    /// Every value is a string, whatever type is wanted.
    Text,
    Override,
}

impl Sources {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file of defaults.
    #[must_use]
    pub fn defaults(self, text: &str) -> Self {
        self.toml(Kind::Defaults, DEFAULTS.to_owned(), text, None)
    }

    /// Of a file of defaults only the table of this name: what a process needs that serves a service
    /// beside others and keeps its own listener, registry and logs.
    #[must_use]
    pub fn defaults_of(self, table: &str, text: &str) -> Self {
        self.toml(Kind::Defaults, DEFAULTS.to_owned(), text, Some(table))
    }

    /// The file of `--config`, if one was named. It must exist, and nobody but root and the user
    /// of this process may be able to change it.
    #[must_use]
    pub fn file(mut self, path: Option<&Path>) -> Self {
        let Some(path) = path else { return self };
        let name = format!("file {}", path.display());
        match self.read(path) {
            Ok(text) => self.toml(Kind::File, name, &text, None),
            Err(error) => {
                self.problem(name, format!("cannot read the settings: {error}"));
                self
            }
        }
    }

    /// The file of `--env-file`, if one was named: lines like `GANTRY_SERVER__LISTEN=...`, read
    /// as docker compose reads its `.env`; other programs' lines are passed over. It must exist,
    /// and nobody but root and the user of this process may be able to change it.
    #[must_use]
    pub fn env_file(mut self, path: Option<&Path>) -> Self {
        let Some(path) = path else { return self };
        let file = path.display();
        let text = match self.read(path) {
            Ok(text) => text,
            Err(error) => {
                self.problem(format!("file {file}"), format!("cannot read: {error}"));
                return self;
            }
        };
        let wanted = |name: &str| name.starts_with(PREFIX);
        let (entries, bad) = dotenv::parse(&text, wanted, |name| env::var(name).ok());
        for dotenv::BadLine { line, why } in bad {
            self.problem(format!("{file} line {line}"), why);
        }
        for dotenv::Entry { line, name, value } in entries {
            let source = format!("{file} line {line}");
            if name == ENV_FILE {
                self.problem(source, format!("{ENV_FILE} has no effect in such a file"));
            } else {
                self.variable(&name, &value, source);
            }
        }
        self
    }

    /// The variables of the process.
    #[must_use]
    pub fn environment(self) -> Self {
        let mut variables: Vec<_> = env::vars_os().collect();
        // Sorted, so that a list of problems does not differ from run to run.
        variables.sort();
        self.os_variables(variables)
    }

    /// These variables; those without the prefix `GANTRY_` are passed over.
    #[must_use]
    pub fn variables<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, text)| (name.into(), text.into()));
        self.os_variables(variables.collect())
    }

    /// One value, from `flag`: `--data-dir`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Serialize, flag: &str) -> Self {
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        // The key tells apart the values that one flag sets.
        let name = format!("{flag}, setting {key}");
        match Value::serialize(value) {
            Ok(value) => {
                let values = nested(&path, value);
                self.layers.push(Layer { kind: Kind::Override, name, values });
            }
            Err(error) => self.problem(name, format!("no setting: {error}")),
        }
        self
    }

    /// Keys whose lists add up over all sources, instead of the last list replacing the others;
    /// `*` stands for any one level: `*.identity.trusted`.
    #[must_use]
    pub fn adding(mut self, keys: &[&'static str]) -> Self {
        self.adding.extend(keys);
        self
    }

    /// Bounds of the numbers and durations below the key `table`; empty for the top level, `*`
    /// for any table.
    #[must_use]
    pub fn bounds(mut self, table: &'static str, bounds: &'static [Bound]) -> Self {
        self.bounds.push((table, bounds));
        self
    }

    /// All layers in one, each value knowing its layer.
    pub(crate) fn merged(&self) -> Figment {
        self.prepared().fold(Figment::new(), Figment::merge)
    }

    /// The same, with all lists added up.
    pub(crate) fn added(&self) -> Figment {
        self.prepared().fold(Figment::new(), Figment::admerge)
    }

    /// What the defaults alone say.
    pub(crate) fn merged_defaults(&self) -> Figment {
        let defaults = self.layers.iter().filter(|layer| layer.kind == Kind::Defaults);
        defaults.cloned().fold(Figment::new(), Figment::merge)
    }

    /// The layers, lists that add up read from the text of variables.
    fn prepared(&self) -> impl Iterator<Item = Layer> {
        self.layers.iter().map(|layer| {
            let mut layer = layer.clone();
            if layer.kind == Kind::Text {
                let mut values = Value::from(layer.values);
                for key in &self.adding {
                    for path in tree::leading(&values, key) {
                        let text = tree::get(&values, &path).and_then(Value::as_str);
                        let list = text.and_then(value_of).filter(|value| value.as_str().is_none());
                        if let Some(list) = list {
                            tree::put(&mut values, &path, list);
                        }
                    }
                }
                layer.values = values.into_dict().unwrap_or_default();
            }
            layer
        })
    }

    fn read(&mut self, path: &Path) -> io::Result<String> {
        let text = gantry_files::read_trusted(path)?;
        self.files.push(path.to_owned());
        Ok(text)
    }

    fn toml(mut self, kind: Kind, name: String, text: &str, only: Option<&str>) -> Self {
        match Toml::from_str::<Dict>(text) {
            Ok(mut values) => {
                if let Some(table) = only {
                    values.retain(|key, _| key == table);
                }
                self.layers.push(Layer { kind, name, values });
            }
            Err(error) => self.problem(name, not_toml(text, error.span(), error.message())),
        }
        self
    }

    fn os_variables(mut self, variables: Vec<(OsString, OsString)>) -> Self {
        let named = |(name, text): (OsString, OsString)| Some((name.into_string().ok()?, text));
        let ours: Vec<_> = variables
            .into_iter()
            .filter_map(named)
            .filter(|(name, _)| name.starts_with(PREFIX) && name != ENV_FILE)
            .collect();
        let of_linked: BTreeSet<_> = ours
            .iter()
            .filter_map(|(name, text)| links::copied_prefix(name, text.to_str()?))
            .collect();
        for (name, text) in ours {
            let source = format!("variable {name}");
            let Some(text) = text.to_str() else {
                self.problem(source, "expected text in UTF-8".to_owned());
                continue;
            };
            let is_copy = of_linked.iter().any(|prefix| name.starts_with(prefix));
            if is_copy || links::is_link(&name, text) {
                self.service_links.push(name);
            } else {
                self.variable(&name, text, source);
            }
        }
        self
    }

    /// An empty variable counts as not set: `VAR=${DB:-}` of a compose file is one.
    fn variable(&mut self, name: &str, text: &str, source: String) {
        if text.is_empty() {
            return;
        }
        let path: Vec<_> =
            name[PREFIX.len()..].split("__").map(|level| level.to_lowercase()).collect();
        if path.iter().any(String::is_empty) {
            self.problem(source, "expected GANTRY_ and a key, levels parted by __".to_owned());
            return;
        }
        let values = nested(&path, text.into());
        self.layers.push(Layer { kind: Kind::Text, name: source, values });
    }

    fn problem(&mut self, source: String, what: String) {
        self.problems.push(Problem { key: String::new(), source: Some(source), what });
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The value that a text is in TOML.
pub(crate) fn value_of(text: &str) -> Option<Value> {
    Toml::from_str::<Dict>(&format!("value = {text}")).ok()?.remove("value")
}

fn nested(path: &[String], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [key] => Dict::from([(key.clone(), value)]),
        [key, rest @ ..] => Dict::from([(key.clone(), nested(rest, value).into())]),
    }
}

/// Where a text is no TOML, and why; not by the line itself, which may hold a secret that
/// was not quoted.
fn not_toml(text: &str, at: Option<Range<usize>>, why: &str) -> String {
    let why = why.trim_end().replace('\n', ", ");
    let before = at.and_then(|at| text.get(..at.start));
    let Some(before) = before else { return format!("not TOML: {why}") };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("not TOML at line {line}, column {column}: {why}")
}
