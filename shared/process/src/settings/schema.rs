//! JSON Schema of settings whose keys depend on the service.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use gantry_client::ClientSettings;
use gantry_server::IdempotencySettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{ProcessSettings, Profile, ServiceSettings, common::Unfinished};
use crate::Service;

/// Keys of [`ProcessSettings`] that every process has.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Frame {
    /// Strictness of the checks at start.
    profile: Profile,
    /// Address for callers.
    listen: SocketAddr,
    /// Address for operators.
    admin: gantry_server::AdminSettings,
    /// Registry of the services.
    discovery: gantry_discovery::Settings,
    /// Logs, traces, metrics.
    telemetry: gantry_telemetry::Settings,
}

/// All common keys of a service's table.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Table {
    /// Server: limits, connections, drain.
    server: gantry_server::Settings,
    /// Own key, trusted keys, grants of callers.
    identity: gantry_identity::Settings,
    /// Database.
    database: gantry_sql::Settings,
    /// Request records.
    idempotency: IdempotencySettings,
    /// Engine of the sagas.
    saga: gantry_saga::Policy,
    /// Clients, by the name of the called service.
    #[schemars(default)]
    clients: BTreeMap<String, ClientSettings>,
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
        let mut schema = Table::json_schema(generator);
        let keys = Unfinished::keys::<S>();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.retain(|key, _| keys.contains(&key.as_str()));
        }
        if let Some(Value::Array(required)) = schema.get_mut("required") {
            required.retain(|key| key.as_str().is_some_and(|key| keys.contains(&key)));
        }
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
