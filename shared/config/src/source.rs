//! Where settings come from.

use std::{env, ffi::OsString, fs, io, ops::Range, path::Path};

use figment::{
    Figment, Metadata, Profile, Provider,
    providers::{Format, Toml},
    value::{Dict, Map, Value},
};

use crate::problem::Problem;

const PREFIX: &str = "GANTRY_";
const DOTENV: &str = ".env";

/// Sources, the later ones overriding the earlier ones.
#[derive(Debug, Default)]
pub struct Sources {
    pub(crate) layers: Vec<Layer>,
    pub(crate) problems: Vec<Problem>,
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

    /// A service's `config/default.toml`.
    #[must_use]
    pub fn defaults(self, text: &str) -> Self {
        self.toml(Kind::Defaults, "built-in defaults".to_owned(), text, None)
    }

    /// Of a service's `config/default.toml` only the table of this name: what a
    /// process needs that serves it beside others and keeps its own listener,
    /// registry and logs.
    #[must_use]
    pub fn defaults_of(self, service: &str, text: &str) -> Self {
        let name = format!("built-in defaults of {service}");
        self.toml(Kind::Defaults, name, text, Some(service))
    }

    /// The file of `--config`, where it was given. It must exist.
    #[must_use]
    pub fn file(mut self, path: Option<&Path>) -> Self {
        let Some(path) = path else { return self };
        let name = format!("file {}", path.display());
        match fs::read_to_string(path) {
            Ok(text) => self.toml(Kind::File, name, &text, None),
            Err(error) => {
                self.problem(name, format!("cannot read the settings: {error}"));
                self
            }
        }
    }

    /// `.env` in the working folder, where it is, and the variables of the process.
    #[must_use]
    pub fn environment(self) -> Self {
        let mut variables: Vec<_> = env::vars_os().collect();
        // Sorted, so that a list of problems does not differ from run to run.
        variables.sort();
        self.dotenv(Path::new(DOTENV)).os_variables(variables)
    }

    /// These variables; those without the prefix `GANTRY_` are passed over.
    #[must_use]
    pub fn variables<'a>(self, variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.os_variables(variables.into_iter().map(|(name, text)| (name.into(), text.into())))
    }

    /// One value, from `flag`: `--data-dir`.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>, flag: &str) -> Self {
        let path: Vec<_> = key.split('.').map(str::to_owned).collect();
        self.layers.push(Layer {
            kind: Kind::Override,
            // The key tells apart the values that one flag sets.
            name: format!("{flag}, setting {key}"),
            values: nested(&path, value.into()),
        });
        self
    }

    /// All layers in one, each value knowing its layer.
    pub(crate) fn merged(&self) -> Figment {
        self.layers.iter().cloned().fold(Figment::new(), Figment::merge)
    }

    /// What the defaults alone say.
    pub(crate) fn merged_defaults(&self) -> Figment {
        let defaults = self.layers.iter().filter(|layer| layer.kind == Kind::Defaults);
        defaults.cloned().fold(Figment::new(), Figment::merge)
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

    fn os_variables(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        for (name, text) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let source = format!("variable {name}");
            match text.to_str() {
                Some(text) => self.variable(name, text, source),
                None => self.problem(source, "expected text in UTF-8".to_owned()),
            }
        }
        self
    }

    fn dotenv(mut self, path: &Path) -> Self {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self,
            Err(error) => {
                self.problem(format!("file {}", path.display()), format!("cannot read: {error}"));
                return self;
            }
        };
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let source = format!("{} line {}", path.display(), number + 1);
            match line.strip_prefix("export ").unwrap_or(line).split_once('=') {
                Some((name, text)) if name.trim().starts_with(PREFIX) => {
                    self.variable(name.trim(), unquoted(text.trim()), source);
                }
                Some(_of_another_program) => {}
                None => self.problem(source, "expected NAME=VALUE".to_owned()),
            }
        }
        self
    }

    fn variable(&mut self, name: &str, text: &str, source: String) {
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

fn nested(path: &[String], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [key] => Dict::from([(key.clone(), value)]),
        [key, rest @ ..] => Dict::from([(key.clone(), nested(rest, value).into())]),
    }
}

fn unquoted(text: &str) -> &str {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(text)
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
