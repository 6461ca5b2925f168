//! A table that all services of a process share.

use gantry_config::{Check, Problems, Sources, load, schema};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::file;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Settings {
    alpha: Table,
    user: Table,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Table {
    database: Database,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Database {
    url: String,
    pool: u32,
}

impl Check for Settings {
    fn check(&self, _: &mut Problems) {}
}

/// Defaults, and a flag that is set before the files, as `--data-dir` is.
fn sources() -> Sources {
    let table = "{ database = { url = 'default', pool = 1 } }";
    let defaults = format!("alpha = {table}\nuser = {table}");
    let sources = Sources::new().sharing("database", &["alpha", "user"]).defaults(&defaults);
    sources.set("user.database.url", "flag", "--data-dir")
}

fn read(sources: Sources) -> [(String, u32); 2] {
    let Settings { alpha, user } = load(sources).unwrap();
    [alpha, user].map(|Table { database: Database { url, pool } }| (url, pool))
}

#[test]
fn a_shared_table_counts_for_each_service_with_its_name() {
    let file = file("[database]\nurl = 'db/SERVICE'\npool = 4\n");
    let expected = [("db/alpha".to_owned(), 4), ("db/user".to_owned(), 4)];
    assert_eq!(read(sources().file(Some(file.path()))), expected);
    let variables = [("GANTRY_DATABASE__URL", "db/SERVICE"), ("GANTRY_DATABASE__POOL", "4")];
    assert_eq!(read(sources().variables(variables)), expected);
}

#[test]
fn a_services_own_key_overrides_a_shared_one_of_any_source() {
    let file = file("[user.database]\nurl = 'own'\n[database]\nurl = 'shared'\n");
    let variables = [
        ("GANTRY_ALPHA__DATABASE__POOL", "9"),
        ("GANTRY_DATABASE__POOL", "7"),
        ("GANTRY_DATABASE__URL", "variable"),
    ];
    let settings = read(sources().file(Some(file.path())).variables(variables));
    assert_eq!(settings, [("variable".to_owned(), 9), ("own".to_owned(), 7)]);
}

#[test]
fn a_problem_of_a_shared_key_names_its_source() {
    let variables = [("GANTRY_DATABASE__POOL", "many")];
    let error = load::<Settings>(sources().variables(variables)).unwrap_err().to_string();
    assert_eq!(error.matches("(variable GANTRY_DATABASE__POOL)").count(), 2, "{error}");
}

#[test]
fn the_schema_has_the_shared_table() {
    let schema = schema::<Settings>("Test", &sources());
    assert_eq!(schema["properties"]["database"]["properties"]["pool"]["type"], "integer");
    assert!(
        schema["required"].as_array().is_none_or(|keys| keys.iter().all(|it| it != "database"))
    );
}
