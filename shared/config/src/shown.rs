//! The settings as operators may see them.

use figment::value::{Dict, Value};
use serde::de::DeserializeOwned;

use crate::{secret, tree};

/// What stands where a secret was.
const HIDDEN: &str = "[redacted]";

/// The merged settings without their secrets.
///
/// What is a secret is asked of `S` itself and not guessed by names: a text is one exactly
/// where `S` would also have taken the mark that only [`Secret`](crate::Secret) takes.
pub(crate) fn shown<S: DeserializeOwned>(root: &Value) -> serde_json::Value {
    let mut shown = root.clone();
    let mut texts = Vec::new();
    collect(root, &mut Vec::new(), &mut texts);
    for path in texts {
        let mut marked = root.clone();
        let mark = Dict::from([(secret::MARK.to_owned(), Value::from(""))]);
        tree::put(&mut marked, &path, mark.into());
        if marked.deserialize::<S>().is_ok() {
            tree::put(&mut shown, &path, Value::from(HIDDEN));
        }
    }
    // A tree of texts, numbers, lists and tables is one of JSON.
    serde_json::to_value(&shown).unwrap_or_default()
}

/// The paths of all texts, and of the files that stand for one.
fn collect(value: &Value, path: &mut Vec<String>, texts: &mut Vec<Vec<String>>) {
    let mut below = |key: String, value: &Value| {
        path.push(key);
        collect(value, path, texts);
        path.pop();
    };
    match value {
        Value::String(..) => texts.push(path.clone()),
        Value::Dict(_, dict) if dict.contains_key(secret::FILE) => texts.push(path.clone()),
        Value::Dict(_, dict) => dict.iter().for_each(|(key, value)| below(key.clone(), value)),
        Value::Array(_, items) => {
            items.iter().enumerate().for_each(|(n, item)| below(n.to_string(), item));
        }
        _ => {}
    }
}
