//! From sources to settings.
//!
//! Serde stops at the first error. To report all of them, a wrong value is noted,
//! replaced by one that is acceptable, and the reading begins again; what such a
//! reading yields is only used to look for further problems.

use std::mem::discriminant;

use figment::{
    Figment,
    error::Kind,
    providers::{Format, Toml},
    value::{Dict, Tag, Value},
};
use serde::de::DeserializeOwned;

use crate::{
    problem::{Check, ConfigError, Problem, Problems},
    secret,
    shown::shown,
    source::{self, Layer, Sources},
    tree,
};

/// Ends a reading whose every repair uncovers something else.
const MOST_PROBLEMS: usize = 100;
/// Ends the name of a key that names a secret's file.
const FILE_SUFFIX: &str = "_file";

/// Merges the sources and reads the settings from them.
///
/// # Errors
/// Everything that is wrong: sources that cannot be read, unknown keys, missing and
/// bad values, and what [`Check`] finds.
pub fn load<S: DeserializeOwned + Check>(sources: Sources) -> Result<S, ConfigError> {
    read(sources).map(|(settings, _)| settings)
}

/// Settings, and what operators may see of them.
#[derive(Debug)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// All of them as they were merged, `[redacted]` where a [`Secret`](crate::Secret) is.
    pub shown: serde_json::Value,
}

/// As [`load`], with what operators may see of the settings.
///
/// # Errors
/// As [`load`].
pub fn load_shown<S: DeserializeOwned + Check>(sources: Sources) -> Result<Loaded<S>, ConfigError> {
    let (settings, root) = read(sources)?;
    Ok(Loaded { settings, shown: shown::<S>(&root) })
}

fn read<S: DeserializeOwned + Check>(mut sources: Sources) -> Result<(S, Value), ConfigError> {
    let mut problems = std::mem::take(&mut sources.problems);
    let mut reading = Reading::new(&sources);
    let settings = reading.settings::<S>(&mut problems);
    if let Some(settings) = &settings {
        reading.check(settings, &mut problems);
    }
    match settings {
        Some(settings) if problems.is_empty() => Ok((settings, reading.root)),
        _ => Err(ConfigError { problems }),
    }
}

struct Reading<'a> {
    layers: &'a [Layer],
    merged: Figment,
    root: Value,
    defaults: Value,
}

impl<'a> Reading<'a> {
    fn new(sources: &'a Sources) -> Self {
        let merged = sources.merged();
        Self {
            layers: &sources.layers,
            root: whole(&merged),
            defaults: whole(&sources.merged_defaults()),
            merged,
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

    /// What the settings say of themselves, but for keys already reported.
    fn check(&self, settings: &impl Check, problems: &mut Vec<Problem>) {
        let mut found = Problems::default();
        settings.check(&mut found);
        for (key, what) in found.found {
            let path: Vec<_> = key.split('.').map(str::to_owned).collect();
            if !problems.iter().any(|problem| problem.key == key) {
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
        let (mut key, mut what) = (error.path.join("."), error.what());
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
        let parsed = Toml::from_str::<Dict>(&format!("value = {text}")).ok()?.remove("value")?;
        Some(tree::tagged(parsed, value.tag()))
    }

    /// The name of the source of the value at `path`, or of what stands around it.
    fn source_of(&self, path: &[String]) -> Option<String> {
        tree::tags(&self.root, path)
            .into_iter()
            .find_map(|tag| self.merged.get_metadata(tag))
            .map(|metadata| metadata.name.clone().into_owned())
    }

    fn layer(&self, tag: Tag) -> Option<(usize, &Layer)> {
        let metadata = self.merged.get_metadata(tag)?;
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

/// Everything that was merged, as one value.
fn whole(merged: &Figment) -> Value {
    merged.find_value("").unwrap_or_else(|_nothing| Value::from(Dict::new()))
}
