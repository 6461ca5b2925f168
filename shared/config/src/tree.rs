//! Finding one's way in merged values.

use figment::value::{Dict, Tag, Value};

/// The value at `path`.
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

/// Puts `value` at `path`; the level above must exist.
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

/// The tags from the value at `path` outwards, as far as `path` leads.
pub(crate) fn tags(root: &Value, path: &[String]) -> Vec<Tag> {
    (0..=path.len()).rev().filter_map(|n| get(root, &path[..n])).map(Value::tag).collect()
}

/// `value` as if it had come from where `tag` came from.
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
