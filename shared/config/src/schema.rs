//! JSON Schema of settings.
//!
//! Types and descriptions come from the settings structs, bounds from [`Sources::bounds`], defaults from
//! the default files. A key with a default is not required, so a file with few keys is valid.

use figment::value;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    bounds::Range,
    load::{FILE_SUFFIX, whole},
    source::{Shared, Sources},
};

/// Pattern of a duration in humantime's form.
const DURATION: &str = "^ *([0-9]+ *(nsec|ns|usec|us|µs|msec|ms|seconds|second|sec|secs|s|minutes\
                        |minute|min|mins|m|hours|hour|hr|hrs|h|days|day|d|weeks|week|wk|wks|w\
                        |months|month|M|years|year|yr|yrs|y) *)+$|^0$";

/// Returns the JSON Schema (draft 2020-12) of settings. `defaults` has their defaults and bounds.
///
/// A secret has a second key for its file. JSON Schema cannot bound a duration, which is a string: its
/// `description` has the bounds.
pub fn schema<S: JsonSchema>(title: &str, defaults: &Sources) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    // The bounds and defaults of a type differ from place to place.
    settings.inline_subschemas = true;
    let mut root = settings.into_generator().into_root_schema_for::<S>().to_value();
    tidy(&mut root);
    root["title"] = title.into();
    for (table, bounds) in &defaults.bounds {
        for bound in *bounds {
            let levels = table.split('.').chain(bound.key.split('.'));
            let levels: Vec<_> = levels.filter(|level| !level.is_empty()).collect();
            each_at(&mut root, &levels, &mut |schema| bind(schema, &bound.range));
        }
    }
    if let Some(Shared { table, services, .. }) = &defaults.shared
        && let Some(service) = services.first()
    {
        let schema = root["properties"][service]["properties"][table].clone();
        root["properties"][table] = schema;
    }
    give_defaults(&mut root, &whole(&defaults.merged_defaults()));
    root
}

/// Removes null, which TOML and the environment do not have, and adds the keys for secrets' files.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Object(schema) => {
            without_null(schema);
            schema.values_mut().for_each(tidy);
            let is_table = schema.contains_key("properties");
            if let Some(Value::Object(properties)) = schema.get_mut("properties") {
                let secrets: Vec<_> = properties
                    .iter()
                    .filter(|(_, schema)| schema["writeOnly"] == true)
                    .map(|(key, _)| key.clone())
                    .collect();
                for secret in &secrets {
                    let description = format!("File that holds `{secret}`.");
                    let file = json!({ "type": "string", "description": description });
                    properties.insert(format!("{secret}{FILE_SUFFIX}"), file);
                }
                if let Some(Value::Array(required)) = schema.get_mut("required") {
                    required.retain(|key| !secrets.iter().any(|secret| key == secret));
                }
            }
            if is_table {
                // Each key of the table has its own default.
                schema.remove("default");
            }
        }
        _ => {}
    }
}

/// Turns "a value or null" into the value: TOML has no null.
fn without_null(schema: &mut Map<String, Value>) {
    if schema.get("default").is_some_and(Value::is_null) {
        schema.remove("default");
    }
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(any)) = schema.get_mut("anyOf") {
        any.retain(|schema| schema["type"] != "null");
        if let [Value::Object(only)] = &any[..] {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                // A field's own description takes precedence over its type's.
                schema.entry(key).or_insert(value);
            }
        }
    }
}

/// Calls `found` with the schema of each key that matches `levels`. `*` matches any one level.
fn each_at(schema: &mut Value, levels: &[&str], found: &mut impl FnMut(&mut Value)) {
    let Some((level, below)) = levels.split_first() else { return found(schema) };
    let Value::Object(schema) = schema else { return };
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (key, schema) in properties {
            if *level == "*" || level == key {
                each_at(schema, below, found);
            }
        }
    }
    // A table with arbitrary keys.
    if let Some(any @ Value::Object(_)) = schema.get_mut("additionalProperties") {
        each_at(any, below, found);
    }
}

fn bind(schema: &mut Value, range: &Range) {
    match range {
        Range::Count(least, most) => {
            schema["minimum"] = (*least).into();
            schema["maximum"] = (*most).into();
        }
        Range::Number(least, most) => {
            schema["minimum"] = (*least).into();
            schema["maximum"] = (*most).into();
        }
        Range::Time(..) => {
            schema["pattern"] = DURATION.into();
            let [least, most] = range.ends();
            let text = schema["description"].as_str().unwrap_or_default();
            schema["description"] = format!("{text}\nFrom {least} to {most}.").trim_start().into();
        }
    }
}

/// Adds each default to the schema of its key. A key with a default is not required.
fn give_defaults(schema: &mut Value, default: &value::Value) {
    let Some(table) = default.as_dict().filter(|_| schema["properties"].is_object()) else {
        // Every TOML value has a JSON form.
        schema["default"] = serde_json::to_value(default).unwrap_or_default();
        return;
    };
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|key| key.as_str().is_none_or(|key| !table.contains_key(key)));
    }
    for (key, default) in table {
        if let Some(schema) = schema["properties"].get_mut(key) {
            give_defaults(schema, default);
        }
    }
}
