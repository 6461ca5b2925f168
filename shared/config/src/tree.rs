//! Access to merged values by path.

use figment::value::{Dict, Tag, Value};

/// Returns the value at `path`.
pub(crate) fn get<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, level| match value {
        Value::Dict(_, dict) => dict.get(level),
        Value::Array(_, items) => items.get(level.parse::<usize>().ok()?),
        _ => None,
    })
}

fn get_mut<'a>(root: &'a mut Value, path: &[String]) -> Option<&'a mut Value> {
    path.iter().try_fold(root, |value, level| match value {
        Value::Dict(_, dict) => dict.get_mut(level),
        Value::Array(_, items) => items.get_mut(level.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Removes and returns the value of the key at `path`.
pub(crate) fn take(root: &mut Value, path: &[String]) -> Option<Value> {
    let (key, parents) = path.split_last()?;
    match get_mut(root, parents)? {
        Value::Dict(_, dict) => dict.remove(key),
        _ => None,
    }
}

/// Puts `value` at `path`. The level above must exist.
pub(crate) fn put(root: &mut Value, path: &[String], value: Value) {
    let Some((key, parents)) = path.split_last() else { return };
    match get_mut(root, parents) {
        Some(Value::Dict(_, dict)) => drop(dict.insert(key.clone(), value)),
        Some(Value::Array(_, items)) => {
            if let Some(item) = key.parse::<usize>().ok().and_then(|n| items.get_mut(n)) {
                *item = value;
            }
        }
        _ => {}
    }
}

/// Returns the tags from the value at `path` outwards. Missing levels are skipped.
pub(crate) fn tags(root: &Value, path: &[String]) -> Vec<Tag> {
    (0..=path.len()).rev().filter_map(|n| get(root, &path[..n])).map(Value::tag).collect()
}

/// Returns `value` with the source of `tag`.
pub(crate) fn tagged(value: Value, tag: Tag) -> Value {
    match value {
        Value::String(_, v) => Value::String(tag, v),
        Value::Char(_, v) => Value::Char(tag, v),
        Value::Bool(_, v) => Value::Bool(tag, v),
        Value::Num(_, v) => Value::Num(tag, v),
        Value::Empty(_, v) => Value::Empty(tag, v),
        Value::Dict(_, v) => {
            Value::Dict(tag, v.into_iter().map(|(key, v)| (key, tagged(v, tag))).collect::<Dict>())
        }
        Value::Array(_, v) => Value::Array(tag, v.into_iter().map(|v| tagged(v, tag)).collect()),
    }
}

/// Returns `value` with each text in it replaced.
pub(crate) fn with_text(value: Value, replace: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(tag, text) => Value::String(tag, replace(&text)),
        Value::Dict(tag, dict) => {
            let items = dict.into_iter().map(|(key, value)| (key, with_text(value, replace)));
            Value::Dict(tag, items.collect())
        }
        Value::Array(tag, items) => {
            Value::Array(tag, items.into_iter().map(|value| with_text(value, replace)).collect())
        }
        other => other,
    }
}

/// Returns the paths of the values that match `pattern`. `*` matches any one level.
pub(crate) fn matching(root: &Value, pattern: &str) -> Vec<Vec<String>> {
    let levels: Vec<_> = pattern.split('.').collect();
    descend(root, &levels).into_iter().filter(|path| path.len() == levels.len()).collect()
}

/// Returns the same, and the path of each non-table value at a shorter prefix of `pattern`.
pub(crate) fn leading(root: &Value, pattern: &str) -> Vec<Vec<String>> {
    descend(root, &pattern.split('.').collect::<Vec<_>>())
}

fn descend(value: &Value, levels: &[&str]) -> Vec<Vec<String>> {
    let (Some((level, deeper)), Value::Dict(_, dict)) = (levels.split_first(), value) else {
        return vec![Vec::new()];
    };
    let named = dict.iter().filter(|(key, _)| *level == "*" || key == level);
    let below = named.flat_map(|(key, value)| {
        descend(value, deeper).into_iter().map(|mut path| {
            path.insert(0, key.clone());
            path
        })
    });
    below.collect()
}

/// Returns the paths of all values that are not tables. Lists of tables are descended into.
pub(crate) fn leaves(root: &Value) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect_leaves(root, &mut Vec::new(), &mut found);
    found
}

fn collect_leaves(value: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut below = |key: String, value: &Value| {
        path.push(key);
        collect_leaves(value, path, found);
        path.pop();
    };
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(key, value)| below(key.clone(), value)),
        Value::Array(_, items) if items.iter().any(|item| item.as_dict().is_some()) => {
            items.iter().enumerate().for_each(|(n, item)| below(n.to_string(), item));
        }
        _ => found.push(path.clone()),
    }
}
