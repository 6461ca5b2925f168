//! From sources to settings.
//!
//! Serde stops at the first error. To report all of them, a wrong value is noted,
//! replaced by one that is acceptable, and the reading begins again; what such a
//! reading yields is only used to look for further problems.

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

/// Ends a reading whose every repair uncovers something else.
const MOST_PROBLEMS: usize = 100;
/// Ends the name of a key that names a secret's file.
pub(crate) const FILE_SUFFIX: &str = "_file";

/// Merges the sources and reads the settings from them.
///
/// # Errors
/// Everything that is wrong: sources that cannot be read, unknown keys, missing and
/// bad values, and what [`Check`] finds.
pub fn load<S: DeserializeOwned + Check>(sources: Sources) -> Result<S, ConfigError> {
    read(sources).map(|(settings, _)| settings)
}

/// Settings, and their origin.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// Source of each of them.
    pub origin: Origin,
}

impl<S: Serialize> Loaded<S> {
    /// Returns the settings in force for operators, `[redacted]` in place of a
    /// [`Secret`](crate::Secret), and under `sources` the source of each key.
    pub fn redacted(&self) -> serde_json::Value {
        self.origin.redacted(&self.settings)
    }

    /// Returns the same as text for people: `KEY = VALUE  # SOURCE`, one line each.
    pub fn lines(&self) -> String {
        self.origin.lines(&self.settings)
    }
}

/// As [`load`], with the origin of the settings.
///
/// # Errors
/// As [`load`].
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
    /// The same sources, all lists added up.
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

    /// Reads, repairing until it succeeds or nothing helps.
    fn settings<S: DeserializeOwned>(&mut self, problems: &mut Vec<Problem>) -> Option<S> {
        while problems.len() < MOST_PROBLEMS {
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

    /// Bounds, and what the settings say of themselves, but for keys already reported.
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
            // A rule of a table says nothing new of a key in it.
            let told = |problem: &Problem| {
                let below = problem.key.strip_prefix(&key);
                below.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            if !problems.iter().any(told) {
                problems.push(Problem { key, source: self.source_of(&path), what });
            }
        }
    }

    /// Whether the unknown key names the file of a secret; then the secret is put in
    /// its place, unless a later source gives it outright.
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

    /// Whether a variable's text, read as TOML, is closer to what is expected; then
    /// that is put in its place.
    fn is_text_of_another_type<S: DeserializeOwned>(&mut self, error: &Failure) -> bool {
        let Some(meant) = self.meant_by_text(&error.path) else { return false };
        self.replace::<S>(&error.path, meant, |next| {
            next.path != error.path || discriminant(&next.kind) != discriminant(&error.kind)
        })
    }

    /// Puts something acceptable where the error is, or takes the unknown key out.
    /// `None` where nothing helps.
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
        // Of an enum, only its complaint tells what would do.
        let (_, complaint) = self.with::<S>(&error.path, Value::from("stand-in"));
        let variant = [Some(error), complaint.as_ref()].into_iter().flatten().find_map(variant);
        default
            .into_iter()
            .chain(variant)
            .chain(stand_ins())
            .any(|value| self.replace::<S>(&error.path, value, progress))
            .then_some(())
    }

    /// Keeps `value` at `path` where the settings are then read without an error, or
    /// with one that is `progress`.
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

    /// Everything with `value` at `path`, and how reading that fails.
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
            // A type's own complaint says nothing of the bounds.
            (Kind::InvalidType(found, _) | Kind::InvalidValue(found, _), Some(range)) => {
                format!("expected {range}, found {found}")
            }
            _ => error.what(),
        };
        match (tree::get(&self.root, &error.path), &error.kind) {
            // The key as it was written, where it named the file of a secret.
            (Some(Value::Dict(_, dict)), _) if dict.contains_key(secret::FILE) => {
                key.push_str(FILE_SUFFIX);
            }
            // What a type says for itself often leaves out what it was given.
            (Some(Value::String(_, found)), Kind::Message(_)) => {
                what.push_str(&format!(", found {found:?}"));
            }
            _ => {}
        }
        Problem { key, source, what }
    }

    /// `password_file` where `password` is a key and `password_file` is not.
    fn secret_named_by(&self, error: &Failure) -> Option<Vec<String>> {
        let Kind::UnknownField(key, known) = &error.kind else { return None };
        let secret = key.strip_suffix(FILE_SUFFIX).filter(|key| known.contains(key))?;
        let (_, parents) = error.path.split_last()?;
        Some(parents.iter().cloned().chain([secret.to_owned()]).collect())
    }

    /// What a variable's text is as TOML, where the value at `path` is such a text.
    fn meant_by_text(&self, path: &[String]) -> Option<Value> {
        let value = tree::get(&self.root, path)?;
        let text = value.as_str()?;
        if self.layer(value.tag())?.1.kind != source::Kind::Text {
            return None;
        }
        Some(tree::tagged(source::value_of(text)?, value.tag()))
    }

    /// The bounds of the setting at `path`.
    fn range_of(&self, path: &[String]) -> Option<&Range> {
        let names = |key: &str| {
            let levels: Vec<_> = key.split('.').collect();
            levels.len() == path.len()
                && levels.iter().zip(path).all(|(level, key)| *level == "*" || level == key)
        };
        self.bounds.iter().find(|(key, _)| names(key)).map(|(_, range)| range)
    }

    /// The name of the source of the value at `path`, or of what stands around it.
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

    /// The later the source, the higher.
    fn rank(&self, tag: Tag) -> Option<usize> {
        self.layer(tag).map(|(rank, _)| rank)
    }
}

/// An error of serde, at the place where a value must change.
struct Failure {
    /// Of the key itself, where it is missing, too.
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
                format!("unknown key, known here are {}", known.join(", "))
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

/// A name that the enum behind `error` knows.
fn variant(error: &Failure) -> Option<Value> {
    match &error.kind {
        Kind::UnknownVariant(_, [variant, ..]) => Some(Value::from(*variant)),
        _ => None,
    }
}

/// Values of which one may be acceptable where there is no default.
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

/// The root with the lists of all sources at the keys of `adding`, without repeats.
fn with_lists(mut root: Value, added: &Value, adding: &[&str]) -> Value {
    let paths: Vec<_> = adding.iter().flat_map(|key| tree::matching(&root, key)).collect();
    for path in paths {
        if let Some(Value::Array(_, items)) = tree::get(added, &path) {
            let is_first = |n: &usize| !items[..*n].contains(&items[*n]);
            let items = (0..items.len()).filter(is_first).map(|n| items[n].clone()).collect();
            // As a whole it comes from where its last items do.
            let tag = tree::get(&root, &path).map(Value::tag).unwrap_or_default();
            tree::put(&mut root, &path, Value::Array(tag, items));
        }
    }
    root
}

/// Everything that was merged, as one value.
pub(crate) fn whole(merged: &Figment) -> Value {
    merged.find_value("").unwrap_or_else(|_nothing| Value::from(Dict::new()))
}
