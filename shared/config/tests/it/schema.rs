//! JSON Schema of settings.

use std::{collections::BTreeMap, time::Duration};

use boon::{Compiler, Schemas};
use gantry_config::{Bound, Secret, Sources, schema};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

const BOUNDS: &[Bound] = &[
    Bound::count("workers", 1, 64),
    Bound::number("rate", 0.001, 1e6),
    Bound::time("limits.*.wait", Duration::from_millis(1), Duration::from_secs(3600)),
    Bound::count("limits.*.burst", 1, 10),
];

const DEFAULTS: &str = "user = { workers = 1, rate = 1.0, limits = { a = { wait = '1s' } } }";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Settings {
    user: Table,
    other: Table,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Table {
    /// Threads.
    workers: u32,
    rate: f64,
    limits: BTreeMap<String, Limit>,
    mode: Option<Mode>,
    password: Secret,
    #[serde(default)]
    trusted: Vec<Trusted>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Limit {
    /// Time between two.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "Option<String>")]
    wait: Option<Duration>,
    burst: Option<u8>,
}

/// Mode.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Without care.
    Fast,
    /// With care.
    Safe,
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Trusted {
    issuer: String,
}

fn made() -> Value {
    schema::<Settings>("Settings of a test", &Sources::new().defaults(DEFAULTS).bounds("*", BOUNDS))
}

/// Returns the schema's error for these keys of the table `user`, or None if they are valid.
fn refusal(user: Value) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("settings.json", made()).unwrap();
    let index = compiler.compile("settings.json", &mut schemas).unwrap();
    let settings = json!({ "user": user, "other": { "workers": 1, "rate": 1.0, "limits": {} } });
    schemas.validate(&settings, index).err().map(|error| format!("{error:#}"))
}

#[test]
fn a_key_with_a_default_may_be_left_out() {
    assert_eq!(refusal(json!({})), None);
    // `other` has no defaults.
    let required = made()["properties"]["other"]["required"].clone();
    assert_eq!(required, json!(["workers", "rate", "limits"]));
}

#[test]
fn values_within_the_bounds_are_valid() {
    for user in [
        json!({ "workers": 64, "rate": 0.001, "mode": "safe", "password": "x" }),
        json!({ "password_file": "/run/secrets/password", "rate": 1 }),
        json!({ "limits": { "b": { "wait": "1h 30m", "burst": 10 } } }),
        json!({ "limits": { "b": { "wait": "100ms" } }, "trusted": [{ "issuer": "a" }] }),
    ] {
        assert_eq!(refusal(user.clone()), None, "{user}");
    }
}

#[test]
fn a_wrong_key_type_or_bound_is_refused() {
    for (user, place) in [
        (json!({ "wokers": 1 }), "wokers"),
        (json!({ "workers": "many" }), "/user/workers"),
        (json!({ "workers": 0 }), "/user/workers"),
        (json!({ "workers": 65 }), "/user/workers"),
        (json!({ "workers": 1.5 }), "/user/workers"),
        (json!({ "rate": 1e7 }), "/user/rate"),
        (json!({ "mode": "slow" }), "/user/mode"),
        (json!({ "mode": null }), "/user/mode"),
        (json!({ "password": 1 }), "/user/password"),
        (json!({ "limits": { "b": { "wait": "soon" } } }), "/user/limits/b/wait"),
        (json!({ "limits": { "b": { "wait": 1 } } }), "/user/limits/b/wait"),
        (json!({ "limits": { "b": { "burst": 11 } } }), "/user/limits/b/burst"),
        (json!({ "trusted": [{}] }), "/user/trusted/0"),
    ] {
        let refused = refusal(user.clone());
        assert!(refused.as_ref().is_some_and(|why| why.contains(place)), "{user}: {refused:?}");
    }
}

#[test]
fn descriptions_bounds_and_defaults_stand_with_each_key() {
    let schema = made();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "Settings of a test");
    let user = &schema["properties"]["user"];
    let workers = &user["properties"]["workers"];
    assert_eq!(workers["description"], "Threads.");
    assert_eq!((&workers["default"], &workers["minimum"]), (&json!(1), &json!(1)));
    let wait = &user["properties"]["limits"]["additionalProperties"]["properties"]["wait"];
    assert_eq!(wait["description"], "Time between two.\nFrom 1ms to 1h.");
    assert_eq!(user["properties"]["limits"]["default"], json!({ "a": { "wait": "1s" } }));
    assert_eq!(schema["properties"]["other"]["properties"]["workers"]["default"], Value::Null);
}
