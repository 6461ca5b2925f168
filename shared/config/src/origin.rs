//! Origin of the settings in force.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::problem::{Check, ConfigError, Problem, Problems};

/// Key of the page of settings under which their sources stand.
const SOURCES: &str = "sources";

/// Source of each setting, the files read and the variables ignored.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    pub(crate) keys: BTreeMap<String, String>,
    /// Files that were read, in order of precedence.
    pub files: Vec<PathBuf>,
    /// Ignored variables, which Kubernetes or Docker created for a service named `gantry`.
    pub service_links: Vec<String>,
}

impl Origin {
    /// Applies further rules to loaded settings: rules about files, for instance.
    ///
    /// # Errors
    /// All problems, each with its source.
    pub fn check(&self, settings: &impl Check) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        settings.check(&mut problems);
        let problems: Vec<_> = problems
            .found
            .into_iter()
            .map(|(key, what)| Problem { source: self.source_of(&key).cloned(), key, what })
            .collect();
        if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
    }

    /// Returns the settings and the source of each key. A key without a source has a default of the
    /// code.
    pub(crate) fn redacted(&self, settings: &impl Serialize) -> Value {
        let mut redacted = to_json(settings);
        let mut sources = Map::new();
        self.each(&redacted, &mut |key, _, source| {
            sources.insert(key.to_owned(), source.into());
        });
        if let Value::Object(table) = &mut redacted {
            table.insert(SOURCES.to_owned(), sources.into());
        }
        redacted
    }

    /// Returns the same as text, one `KEY = VALUE  # SOURCE` a line.
    pub(crate) fn lines(&self, settings: &impl Serialize) -> String {
        let mut lines = String::new();
        self.each(&to_json(settings), &mut |key, value, source| {
            lines.push_str(&format!("{key} = {value}  # {source}\n"));
        });
        lines
    }

    /// Calls `found` with the key, the value and the source of each setting.
    fn each(&self, settings: &Value, found: &mut impl FnMut(&str, &Value, &str)) {
        collect(settings, &mut Vec::new(), &mut |key, value| {
            found(key, value, self.source_of(key).map_or("default", String::as_str));
        });
    }

    /// Returns the source of a key, or of the value that contains it.
    fn source_of(&self, key: &str) -> Option<&String> {
        let ends = key.match_indices('.').map(|(at, _)| at).chain([key.len()]);
        ends.collect::<Vec<_>>().into_iter().rev().find_map(|end| self.keys.get(&key[..end]))
    }
}

/// Converts settings to JSON. Cannot fail: their keys are texts.
fn to_json(settings: &impl Serialize) -> Value {
    serde_json::to_value(settings).unwrap_or_default()
}

/// Calls `found` with key and value of each value that is set.
fn collect(value: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&str, &Value)) {
    let mut below = |key: String, value: &Value| {
        path.push(key);
        collect(value, path, found);
        path.pop();
    };
    match value {
        Value::Null => {}
        Value::Object(table) => table.iter().for_each(|(key, value)| below(key.clone(), value)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().enumerate().for_each(|(n, item)| below(n.to_string(), item));
        }
        _ => found(&path.join("."), value),
    }
}
