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

/// Source name of all default files.
const DEFAULTS: &str = "built-in defaults";

/// Sources of settings. Later ones override earlier ones.
#[derive(Debug, Default)]
pub struct Sources {
    pub(crate) layers: Vec<Layer>,
    pub(crate) problems: Vec<Problem>,
    /// Keys whose lists add up over all sources.
    pub(crate) adding: Vec<&'static str>,
    /// Bounds of numbers and durations, by the key of their table.
    pub(crate) bounds: Vec<(&'static str, &'static [Bound])>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) service_links: Vec<String>,
    pub(crate) shared: Option<Shared>,
}

/// A top-level table whose keys count for a table of the same name in several services.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: &'static str,
    pub(crate) services: Vec<&'static str>,
    /// Position after the last shared layer: every service's own layers follow. None before the first.
    end: Option<usize>,
}

/// Text in a shared value that stands for the name of the service.
const SERVICE: &str = "SERVICE";

/// Values of one source.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    pub(crate) kind: Kind,
    /// Name in messages. Also connects a merged value to its layer.
    pub(crate) name: String,
    values: Dict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Defaults,
    File,
    /// All values are strings, whatever the expected type.
    Text,
    Override,
}

impl Sources {
    /// Creates an empty list of sources.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a default file.
    #[must_use]
    pub fn defaults(self, text: &str) -> Self {
        self.toml(Kind::Defaults, DEFAULTS.to_owned(), text, None)
    }

    /// Adds only this table of a default file: for a process with several services, which has its own
    /// listener, registry and logs.
    #[must_use]
    pub fn defaults_of(self, table: &str, text: &str) -> Self {
        self.toml(Kind::Defaults, DEFAULTS.to_owned(), text, Some(table))
    }

    /// Adds the file of `--config`, if any. It must exist, and only root and the user of this process
    /// may be able to write to it.
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

    /// Adds the file of `--env-file`, if any: lines like `GANTRY_SERVER__LISTEN=...` with docker
    /// compose's rules. Lines of other programs are ignored. It must exist, and only root and the user
    /// of this process may be able to write to it.
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

    /// Adds the variables of the process.
    #[must_use]
    pub fn environment(self) -> Self {
        let mut variables: Vec<_> = env::vars_os().collect();
        // Sorted, so that the order of problems is the same in each run.
        variables.sort();
        self.os_variables(variables)
    }

    /// Adds these variables. Those without the prefix `GANTRY_` are ignored.
    #[must_use]
    pub fn variables<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables = variables.into_iter().map(|(name, text)| (name.into(), text.into()));
        self.os_variables(variables.collect())
    }

    /// Adds variables of another product that stand for settings of ours: their names, the keys, and the
    /// unit of their bare numbers. An empty one counts as unset. Call it before [`file`](Self::file) and
    /// the like, which override them.
    #[must_use]
    pub fn foreign(self, variables: &[(&str, &str, &str)]) -> Self {
        self.foreign_from(variables, |name| env::var_os(name))
    }

    fn foreign_from(
        mut self,
        variables: &[(&str, &str, &str)],
        value_of: impl Fn(&str) -> Option<OsString>,
    ) -> Self {
        for (name, key, unit) in variables {
            let source = format!("variable {name}");
            let Some(text) = value_of(name) else { continue };
            match text.to_str().map(str::trim) {
                None => self.problem(source, "expected text in UTF-8".to_owned()),
                Some("") => {}
                Some(text) => {
                    let path: Vec<_> = key.split('.').map(str::to_owned).collect();
                    let values = nested(&path, format!("{text}{unit}").into());
                    self.push(Layer { kind: Kind::Text, name: source, values });
                }
            }
        }
        self
    }

    /// Adds one value of a flag. `flag` is its name in messages: `--data-dir`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Serialize, flag: &str) -> Self {
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        // The key distinguishes several values of one flag.
        let name = format!("{flag}, setting {key}");
        match Value::serialize(value) {
            Ok(value) => {
                let values = nested(&path, value);
                self.layers.push(Layer { kind: Kind::Override, name, values });
            }
            Err(error) => self.problem(name, format!("not a setting: {error}")),
        }
        self
    }

    /// Makes the lists of these keys add up over all sources; other lists replace each other. `*`
    /// matches any one level: `*.identity.trusted`.
    #[must_use]
    pub fn adding(mut self, keys: &[&'static str]) -> Self {
        self.adding.extend(keys);
        self
    }

    /// Adds bounds of numbers and durations below the key `table`: empty for the top level, `*` for any
    /// table.
    #[must_use]
    pub fn bounds(mut self, table: &'static str, bounds: &'static [Bound]) -> Self {
        self.bounds.push((table, bounds));
        self
    }

    /// Makes the top-level table `table` of files and variables count for the table of the same name in
    /// each of the services: `database.kind` for `user.database.kind`. `SERVICE` in a text stands for
    /// the name of the service. A key in a service's own table overrides the shared one, in whatever
    /// source it is.
    ///
    /// Call it before [`file`](Self::file) and the like.
    #[must_use]
    pub fn sharing(mut self, table: &'static str, services: &[&'static str]) -> Self {
        if !services.is_empty() {
            self.shared = Some(Shared { table, services: services.to_vec(), end: None });
        }
        self
    }

    /// Adds a layer. A shared table in it becomes a layer before those of the services' own keys.
    fn push(&mut self, mut layer: Layer) {
        if let Some(shared) = &mut self.shared
            && matches!(layer.kind, Kind::File | Kind::Text)
        {
            let end = shared.end.get_or_insert(self.layers.len());
            if let Some(values) = layer.values.remove(shared.table) {
                let table = |service: &&'static str| {
                    let values =
                        tree::with_text(values.clone(), &|text| text.replace(SERVICE, service));
                    let table = Dict::from([(shared.table.to_owned(), values)]);
                    ((*service).to_owned(), table.into())
                };
                let values = shared.services.iter().map(table).collect();
                self.layers.insert(*end, Layer { values, ..layer.clone() });
                *end += 1;
            }
        }
        self.layers.push(layer);
    }

    /// Merges all layers. Each value keeps its layer.
    pub(crate) fn merged(&self) -> Figment {
        self.prepared().fold(Figment::new(), Figment::merge)
    }

    /// Merges all layers and adds up all lists.
    pub(crate) fn added(&self) -> Figment {
        self.prepared().fold(Figment::new(), Figment::admerge)
    }

    /// Merges the defaults only.
    pub(crate) fn merged_defaults(&self) -> Figment {
        let defaults = self.layers.iter().filter(|layer| layer.kind == Kind::Defaults);
        defaults.cloned().fold(Figment::new(), Figment::merge)
    }

    /// Returns the layers. Lists that add up are parsed from the text of variables.
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
                self.push(Layer { kind, name, values });
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

    /// Adds a variable. An empty one counts as unset: `VAR=${DB:-}` of a compose file.
    fn variable(&mut self, name: &str, text: &str, source: String) {
        if text.is_empty() {
            return;
        }
        let path: Vec<_> =
            name[PREFIX.len()..].split("__").map(|level| level.to_lowercase()).collect();
        if path.iter().any(String::is_empty) {
            self.problem(source, "expected GANTRY_ and a key, levels separated by __".to_owned());
            return;
        }
        let values = nested(&path, text.into());
        self.push(Layer { kind: Kind::Text, name: source, values });
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

/// Parses a text as a TOML value.
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

/// Describes a syntax error by its position. The line itself may contain an unquoted secret.
fn not_toml(text: &str, at: Option<Range<usize>>, why: &str) -> String {
    let why = why.trim_end().replace('\n', ", ");
    let before = at.and_then(|at| text.get(..at.start));
    let Some(before) = before else { return format!("invalid TOML: {why}") };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("invalid TOML at line {line}, column {column}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bound, Check, Problems};

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        ratio: f64,
        wait: String,
    }

    impl Check for Settings {
        fn check(&self, _: &mut Problems) {}
    }

    const DEFAULTS: &str = "ratio = 0.1\nwait = '1s'";
    const BOUNDS: &[Bound] = &[Bound::number("ratio", 0.0, 1.0)];

    fn with(value: &str) -> Sources {
        let variables = [("OTHER_RATIO", "ratio", ""), ("OTHER_WAIT", "wait", "ms")];
        let sources = Sources::new().defaults(DEFAULTS).bounds("", BOUNDS);
        sources.foreign_from(&variables, |name| {
            Some(if name == "OTHER_RATIO" { value.into() } else { "20".into() })
        })
    }

    #[test]
    fn a_foreign_variable_stands_between_defaults_and_settings() {
        let settings: Settings = crate::load(with("0.5")).unwrap();
        assert_eq!((settings.ratio, settings.wait.as_str()), (0.5, "20ms"));
        let own = [("GANTRY_RATIO", "0.7")];
        let settings: Settings = crate::load(with("0.5").variables(own)).unwrap();
        assert_eq!((settings.ratio, settings.wait.as_str()), (0.7, "20ms"));
        let settings: Settings = crate::load(with(" ")).unwrap();
        assert_eq!(settings.ratio, 0.1, "an empty variable counts as unset");
    }

    #[test]
    fn a_bad_foreign_variable_is_reported_by_its_name() {
        let error = crate::load::<Settings>(with("2")).unwrap_err().to_string();
        assert_eq!(error, "ratio: expected a number from 0.0 to 1.0 (variable OTHER_RATIO)");
    }
}
