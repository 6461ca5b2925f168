//! JSON Schema of settings whose keys depend on the service.

use std::{borrow::Cow, net::SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{CommonSettings, ProcessSettings, ServiceSettings};
use crate::Service;

/// The keys of [`ProcessSettings`] that every process has.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Frame {
    /// Address for callers.
    listen: SocketAddr,
    /// Address for operators.
    admin: gantry_server::AdminSettings,
    /// Registry in which it makes itself known and finds the others.
    discovery: gantry_discovery::Settings,
    /// Logs.
    telemetry: gantry_telemetry::Settings,
}

impl<S: Service> JsonSchema for ProcessSettings<S> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Process", S::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Frame::json_schema(generator);
        let table = generator.subschema_for::<ServiceSettings<S>>();
        extend(
            &mut schema,
            "properties",
            [(S::NAME.to_owned(), table.to_value())].into_iter().collect(),
        );
        extend(&mut schema, "required", [Value::from(S::NAME)].into_iter().collect());
        schema
    }
}

impl<S: Service> JsonSchema for ServiceSettings<S> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}Service", S::NAME).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = CommonSettings::json_schema(generator);
        let own = S::Settings::json_schema(generator);
        for part in ["properties", "required"] {
            if let Some(own) = own.get(part) {
                extend(&mut schema, part, own.clone());
            }
        }
        schema
    }
}

/// Adds to the properties, or to the names of required keys, of a table's schema.
fn extend(schema: &mut Schema, part: &str, more: Value) {
    match (schema.ensure_object().entry(part), more) {
        (serde_json::map::Entry::Occupied(mut entry), more) => match (entry.get_mut(), more) {
            (Value::Object(properties), Value::Object(more)) => properties.extend(more),
            (Value::Array(required), Value::Array(more)) => required.extend(more),
            (other, more) => *other = more,
        },
        (serde_json::map::Entry::Vacant(entry), more) => drop(entry.insert(more)),
    }
}
