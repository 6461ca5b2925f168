//! Reads settings from sources.
//!
//! Serde stops at the first error. To report all of them, each error is recorded, its value is replaced
//! by an acceptable one, and reading starts over. Settings read after a replacement serve only to find
//! further problems.

use std::mem::discriminant;

use figment::{
    Figment, Metadata,
    error::Kind,
    value::{Dict, Tag, Value},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    bounds::{Bound, Range},
    origin::Origin,
    problem::{Check, ConfigError, Problem, Problems},
    secret,
    source::{self, Layer, Sources},
    tree,
};

/// Limit of the problems of one reading, in case that each repair reveals another one.
const MAX_PROBLEMS: usize = 100;
/// Suffix of the key for a secret's file.
pub(crate) const FILE_SUFFIX: &str = "_file";

/// Merges the sources and reads the settings.
///
/// # Errors
/// All problems: unreadable sources, unknown keys, missing and invalid values, violated bounds and rules
/// ([`Check`]).
pub fn load<S: DeserializeOwned + Check>(sources: Sources) -> Result<S, ConfigError> {
    read(sources).map(|(settings, _)| settings)
}

/// Settings and their origin.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// Source of each setting.
    pub origin: Origin,
}

impl<S: Serialize> Loaded<S> {
    /// Returns the settings for operators: a [`Secret`](crate::Secret) is `[redacted]`, and `sources`
    /// has the source of each key.
    pub fn redacted(&self) -> serde_json::Value {
        self.origin.redacted(&self.settings)
    }

    /// Returns the same as text, one `KEY = VALUE  # SOURCE` a line.
    pub fn lines(&self) -> String {
        self.origin.lines(&self.settings)
    }
}

/// Like [`load`], with the origin of the settings.
///
/// # Errors
/// Those of [`load`].
pub fn load_shown<S: DeserializeOwned + Check>(sources: Sources) -> Result<Loaded<S>, ConfigError> {
    let (settings, origin) = read(sources)?;
    Ok(Loaded { settings, origin })
}

fn read<S: DeserializeOwned + Check>(mut sources: Sources) -> Result<(S, Origin), ConfigError> {
    let mut problems = std::mem::take(&mut sources.problems);
    let mut reading = Reading::new(&sources);
    let settings = reading.settings::<S>(&mut problems);
    if let Some(settings) = &settings {
        reading.check(settings, &mut problems);
    }
    match settings {
        Some(settings) if problems.is_empty() => {
            let keys = tree::leaves(&reading.root)
                .into_iter()
                .filter_map(|path| Some((path.join("."), reading.source_of(&path)?)));
            let keys = keys.collect();
            let Sources { files, service_links, .. } = sources;
            Ok((settings, Origin { keys, files, service_links }))
        }
        _ => Err(ConfigError { problems }),
    }
}

struct Reading<'a> {
    layers: &'a [Layer],
    bounds: Vec<(String, Range)>,
    merged: Figment,
    /// The same sources with all lists added up.
    added: Figment,
    root: Value,
    defaults: Value,
}

impl<'a> Reading<'a> {
    fn new(sources: &'a Sources) -> Self {
        let (merged, added) = (sources.merged(), sources.added());
        let root = with_lists(whole(&merged), &whole(&added), &sources.adding);
        let below = |(table, bounds): &(&'static str, &'static [Bound])| {
            let dot = if table.is_empty() { "" } else { "." };
            let table = format!("{table}{dot}");
            bounds.iter().map(move |bound| (format!("{table}{}", bound.key), bound.range))
        };
        Self {
            layers: &sources.layers,
            bounds: sources.bounds.iter().flat_map(below).collect(),
            defaults: whole(&sources.merged_defaults()),
            root,
            merged,
            added,
        }
    }

    /// Reads and repairs until reading succeeds or no repair is possible.
    fn settings<S: DeserializeOwned>(&mut self, problems: &mut Vec<Problem>) -> Option<S> {
        while problems.len() < MAX_PROBLEMS {
            let error = match self.root.deserialize::<S>() {
                Ok(settings) => return Some(settings),
                Err(error) => Failure::from(error),
            };
            let understood = match &error.kind {
                Kind::UnknownField(..) => self.is_secrets_file(&error),
                Kind::InvalidType(..) => self.is_text_of_another_type::<S>(&error),
                _ => false,
            };
            if !understood {
                problems.push(self.problem(&error));
                self.repair::<S>(&error)?;
            }
        }
        None
    }

    /// Checks bounds and rules, except for keys with a reported problem.
    fn check(&self, settings: &impl Check, problems: &mut Vec<Problem>) {
        let mut found = Problems::default();
        for (key, range) in &self.bounds {
            for path in tree::matching(&self.root, key) {
                if tree::get(&self.root, &path).is_some_and(|value| range.excludes(value)) {
                    found.expected(&path.join("."), range);
                }
            }
        }
        settings.check(&mut found);
        for (key, what) in found.found {
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            // A problem of a table adds nothing to a reported problem of a key in it.
            let is_known = |problem: &Problem| {
                let below = problem.key.strip_prefix(&key);
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if !problems.iter().any(is_known) {
                problems.push(Problem { key, source: self.source_of(&path), what });
            }
        }
    }

    /// Returns true if the unknown key names a secret's file. Then the file replaces the secret, unless
    /// a later source has the secret itself.
    fn is_secrets_file(&mut self, error: &Failure) -> bool {
        let Some(secret) = self.secret_named_by(error) else { return false };
        let Some(Value::String(tag, file)) = tree::get(&self.root, &error.path).cloned() else {
            return false;
        };
        tree::take(&mut self.root, &error.path);
        let rank = self.rank(tag);
        let given = tree::get(&self.root, &secret).map(|given| self.rank(given.tag()));
        if given.is_none_or(|given| given < rank) {
            let file = Dict::from([(secret::FILE.to_owned(), Value::String(tag, file))]);
            tree::put(&mut self.root, &secret, Value::Dict(tag, file));
        }
        true
    }

    /// Returns true if a variable's text, parsed as TOML, fits the expected type better. Then the parsed
    /// value replaces it.
    fn is_text_of_another_type<S: DeserializeOwned>(&mut self, error: &Failure) -> bool {
        let Some(meant) = self.meant_by_text(&error.path) else { return false };
        self.replace::<S>(&error.path, meant, |next| {
            next.path != error.path || discriminant(&next.kind) != discriminant(&error.kind)
        })
    }

    /// Replaces the erroneous value by an acceptable one, or removes an unknown key. If no replacement is
    /// acceptable, the enclosing list gets its default, and its further problems stay unknown. Returns
    /// None if nothing helps.
    fn repair<S: DeserializeOwned>(&mut self, error: &Failure) -> Option<()> {
        if let Kind::UnknownField(..) = error.kind {
            return tree::take(&mut self.root, &error.path).map(drop);
        }
        let missing = matches!(error.kind, Kind::MissingField(_));
        let progress = |next: &Failure| {
            let deeper = next.path.len() > error.path.len();
            !next.path.starts_with(&error.path) || missing && deeper
        };
        let default = tree::get(&self.defaults, &error.path).cloned();
        // Only an enum's error names its variants.
        let (_, enum_error) = self.with::<S>(&error.path, Value::from("stand-in"));
        let variant = [Some(error), enum_error.as_ref()].into_iter().flatten().find_map(variant);
        let mut stand_ins = default.into_iter().chain(variant).chain(stand_ins());
        if stand_ins.any(|value| self.replace::<S>(&error.path, value, progress)) {
            return Some(());
        }
        let is_list =
            |path: &[String]| matches!(tree::get(&self.root, path), Some(Value::Array(..)));
        let list =
            (1..error.path.len()).rev().map(|n| &error.path[..n]).find(|path| is_list(path))?;
        let without = tree::get(&self.defaults, list).cloned();
        let without = without.unwrap_or_else(|| Value::from(Vec::<Value>::new()));
        self.replace::<S>(list, without, progress).then_some(())
    }

    /// Puts `value` at `path` if reading then succeeds, or fails with an error that is `progress`.
    /// Returns true if it does.
    fn replace<S: DeserializeOwned>(
        &mut self,
        path: &[String],
        value: Value,
        progress: impl Fn(&Failure) -> bool,
    ) -> bool {
        let (changed, next) = self.with::<S>(path, value);
        let helped = next.is_none_or(|next| progress(&next));
        if helped {
            self.root = changed;
        }
        helped
    }

    /// Returns all values with `value` at `path`, and the error of reading them.
    fn with<S: DeserializeOwned>(&self, path: &[String], value: Value) -> (Value, Option<Failure>) {
        let mut changed = self.root.clone();
        tree::put(&mut changed, path, value);
        let next = changed.deserialize::<S>().err().map(Failure::from);
        (changed, next)
    }

    fn problem(&self, error: &Failure) -> Problem {
        let source = self.source_of(&error.path);
        let mut key = error.path.join(".");
        let mut what = match (&error.kind, self.range_of(&error.path)) {
            // The type's own error does not have the bounds.
            (Kind::InvalidType(found, _) | Kind::InvalidValue(found, _), Some(range)) => {
                format!("expected {range}, found {found}")
            }
            _ => error.what(),
        };
        match (tree::get(&self.root, &error.path), &error.kind) {
            // The key as written: it named a secret's file.
            (Some(Value::Dict(_, dict)), _) if dict.contains_key(secret::FILE) => {
                key.push_str(FILE_SUFFIX);
            }
            // A type's own error often omits the value.
            (Some(Value::String(_, found)), Kind::Message(_)) => {
                what.push_str(&format!(", found {found:?}"));
            }
            _ => {}
        }
        Problem { key, source, what }
    }

    /// Returns the path of `password` if the unknown key is `password_file` and `password` is known.
    fn secret_named_by(&self, error: &Failure) -> Option<Vec<String>> {
        let Kind::UnknownField(key, known) = &error.kind else { return None };
        let secret = key.strip_suffix(FILE_SUFFIX).filter(|key| known.contains(key))?;
        let (_, parents) = error.path.split_last()?;
        Some(parents.iter().cloned().chain([secret.to_owned()]).collect())
    }

    /// Parses the value at `path` as TOML. Returns None if it is not the text of a variable.
    fn meant_by_text(&self, path: &[String]) -> Option<Value> {
        let value = tree::get(&self.root, path)?;
        let text = value.as_str()?;
        if self.layer(value.tag())?.1.kind != source::Kind::Text {
            return None;
        }
        Some(tree::tagged(source::value_of(text)?, value.tag()))
    }

    /// Returns the bounds of the setting at `path`.
    fn range_of(&self, path: &[String]) -> Option<&Range> {
        let names = |key: &str| {
            let levels: Vec<_> = key.split('.').collect();
            levels.len() == path.len()
                && levels.iter().zip(path).all(|(level, key)| *level == "*" || level == key)
        };
        self.bounds.iter().find(|(key, _)| names(key)).map(|(_, range)| range)
    }

    /// Returns the source of the value at `path`, or of the nearest enclosing value.
    fn source_of(&self, path: &[String]) -> Option<String> {
        tree::tags(&self.root, path)
            .into_iter()
            .find_map(|tag| self.metadata(tag))
            .map(|metadata| metadata.name.clone().into_owned())
    }

    fn metadata(&self, tag: Tag) -> Option<&Metadata> {
        self.merged.get_metadata(tag).or_else(|| self.added.get_metadata(tag))
    }

    fn layer(&self, tag: Tag) -> Option<(usize, &Layer)> {
        let metadata = self.metadata(tag)?;
        self.layers.iter().enumerate().find(|(_, layer)| layer.name == metadata.name)
    }

    /// Returns the precedence of a source: higher for later ones.
    fn rank(&self, tag: Tag) -> Option<usize> {
        self.layer(tag).map(|(rank, _)| rank)
    }
}

/// An error of serde and the path of the value to change.
struct Failure {
    /// Path of the key, also of a missing one.
    path: Vec<String>,
    kind: Kind,
}

impl From<figment::Error> for Failure {
    fn from(error: figment::Error) -> Self {
        let figment::Error { mut path, kind, .. } = error;
        if let Kind::MissingField(field) = &kind {
            path.push(field.clone().into_owned());
        }
        Self { path, kind }
    }
}

impl Failure {
    fn what(&self) -> String {
        match &self.kind {
            Kind::UnknownField(_, known) => {
                format!("unknown key, expected one of {}", known.join(", "))
            }
            Kind::UnknownVariant(found, known) => {
                format!("expected one of {}, found \"{found}\"", known.join(", "))
            }
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                let example = if expected == "a duration" { " such as \"15m\"" } else { "" };
                format!("expected {expected}{example}, found {found}")
            }
            Kind::MissingField(_) => "missing".to_owned(),
            kind => kind.to_string(),
        }
    }
}

/// Returns a variant of the enum that `error` is about.
fn variant(error: &Failure) -> Option<Value> {
    match &error.kind {
        Kind::UnknownVariant(_, [variant, ..]) => Some(Value::from(*variant)),
        _ => None,
    }
}

/// Candidates for a value without a default.
fn stand_ins() -> [Value; 8] {
    [
        Value::from("stand-in"),
        Value::from("1s"),
        Value::from("127.0.0.1:1"),
        Value::from("127.0.0.1"),
        Value::from(1),
        Value::from(true),
        Value::from(Vec::<Value>::new()),
        Value::from(Dict::new()),
    ]
}

/// Returns the root with the lists of all sources at the keys of `adding`, without duplicates.
fn with_lists(mut root: Value, added: &Value, adding: &[&str]) -> Value {
    let paths: Vec<_> = adding.iter().flat_map(|key| tree::matching(&root, key)).collect();
    for path in paths {
        if let Some(Value::Array(_, items)) = tree::get(added, &path) {
            let is_first = |n: &usize| !items[..*n].contains(&items[*n]);
            let items = (0..items.len()).filter(is_first).map(|n| items[n].clone()).collect();
            // The list as a whole has the source of its last items.
            let tag = tree::get(&root, &path).map(Value::tag).unwrap_or_default();
            tree::put(&mut root, &path, Value::Array(tag, items));
        }
    }
    root
}

/// Returns the merged sources as one value.
pub(crate) fn whole(merged: &Figment) -> Value {
    merged.find_value("").unwrap_or_else(|_nothing| Value::from(Dict::new()))
}
