//! `config show|check|schema` of `gantry` and of each service's binary.

use std::{fs, path::Path, process::Output};

use boon::{Compiler, Schemas};
use serde_json::{Value, json};

use crate::{
    architecture::root,
    cluster::{SERVICES, local_file, own_binary},
    pages::page,
    process::{Suite, gantry},
};

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs `gantry` or a service's binary, and returns its output.
fn run(binary: &str, args: &[&str]) -> Output {
    let mut command = match binary {
        "gantry" => gantry(),
        service => own_binary(service),
    };
    command.arg("config").args(args).output().unwrap()
}

/// Compiled JSON Schema of a binary's settings.
struct Schema {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

impl Schema {
    fn of(binary: &str) -> Self {
        let schema: Value = serde_json::from_str(&text(&run(binary, &["schema"]))).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("settings.json", schema).unwrap();
        let index = compiler.compile("settings.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    /// Returns the problem of settings, or `None` if they are valid.
    fn refusal(&self, settings: &Value) -> Option<String> {
        self.schemas.validate(settings, self.index).err().map(|error| format!("{error:#}"))
    }
}

fn toml(file: &Path) -> Value {
    let text = fs::read_to_string(file).unwrap();
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

/// Returns the default file of a service, or of `gantry`.
fn defaults(binary: &str) -> Value {
    toml(&root().join(format!("services/{binary}/config/default.toml")))
}

#[test]
fn the_schema_validates_every_default_file() {
    let gantry = Schema::of("gantry");
    assert_eq!(gantry.refusal(&defaults("gantry")), None);
    for service in SERVICES {
        let (schema, file) = (Schema::of(service), defaults(service));
        assert_eq!(schema.refusal(&file), None, "{service}");
        assert_eq!(schema.refusal(&toml(&local_file(service))), None, "{service}");
        for common in ["common", "client"] {
            let file = root().join(format!("shared/process/config/{common}.toml"));
            let text = fs::read_to_string(file).unwrap();
            let text = text.replace("SERVICE", service).replace("CALLEE", "user");
            let file = serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap();
            assert_eq!(schema.refusal(&file), None, "{common} of {service}");
        }
        // A shared process has the same table for it.
        assert_eq!(gantry.refusal(&json!({ *service: file[*service] })), None, "{service}");
    }
}

#[test]
fn the_schema_refuses_a_wrong_key_type_or_bound() {
    for binary in ["gantry"].iter().chain(SERVICES) {
        let schema = Schema::of(binary);
        let table = if *binary == "gantry" { "order" } else { binary };
        for (settings, place) in [
            (json!({ "lisen": "127.0.0.1:1" }), "lisen"),
            (json!({ table: { "server": { "wieght": 1 } } }), "wieght"),
            (json!({ table: { "server": { "weight": "1" } } }), "/server/weight"),
            (json!({ table: { "server": { "weight": 0 } } }), "/server/weight"),
            (json!({ table: { "server": { "drain_timeout": 20 } } }), "/server/drain_timeout"),
            (json!({ table: { "server": { "drain_timeout": "long" } } }), "/server/drain_timeout"),
            (
                json!({ table: { "database": { "sqlite": { "readers": 65 } } } }),
                "/database/sqlite/readers",
            ),
            (json!({ table: { "clients": { "user": { "breaker": { "probes": 0 } } } } }), "probes"),
            (json!({ "discovery": { "kind": "dns" } }), "/discovery/kind"),
            (json!({ "discovery": { "consul": { "wait": 30 } } }), "/discovery/consul/wait"),
        ] {
            let refused = schema.refusal(&settings);
            let told = refused.as_ref().is_some_and(|why| why.contains(place));
            assert!(told, "{binary}: {settings}: {refused:?}");
        }
    }
}

#[test]
fn a_description_a_default_and_bounds_are_in_the_schema() {
    let schema: Value = serde_json::from_str(&text(&run("user", &["schema"]))).unwrap();
    let at = |path: &[&str]| {
        path.iter().fold(schema.clone(), |schema, key| schema["properties"][key].clone())
    };
    let weight = at(&["user", "server", "weight"]);
    assert_eq!((&weight["default"], &weight["maximum"]), (&json!(1), &json!(65_535)));
    let description = weight["description"].as_str().unwrap();
    assert!(description.contains("relative to the other instances"), "{description}");
    let password = at(&["user", "bootstrap", "admin_password"]);
    assert_eq!(password["writeOnly"], true);
    assert_eq!(at(&["user", "bootstrap", "admin_password_file"])["type"], "string");
}

#[test]
fn check_says_ok_or_every_problem_and_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (config, data) = (folder.path().join("gantry.toml"), folder.path().join("data"));
    let args = ["check", "--data-dir", data.to_str().unwrap()];
    assert_eq!(text(&run("gantry", &args)), "ok\n");

    fs::write(&config, "[user.server]\nweight = 0\n[order]\nserve = 1\n").unwrap();
    let with_file = |args: &[&str], binary: &str| {
        run(binary, &[args, &["--config", config.to_str().unwrap()]].concat())
    };
    let refused = with_file(&args, "gantry");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), told.lines().count()), (Some(2), 2), "{told}");
    assert!(told.contains("user.server.weight: expected") && told.contains("order.serve: "));
    assert!(refused.stdout.is_empty() && !data.exists());

    // The check reads the files that the settings name.
    fs::write(&config, "user.server.tls = { cert_file = 'a.pem', key_file = 'b.pem' }").unwrap();
    let refused = with_file(&args, "gantry");
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(told.contains("user.server.tls.cert_file: "), "{told}");

    // A process of its own needs keys.
    let refused = run("order", &["check"]);
    let told = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(2) && told.contains("order.identity.trusted"), "{told}");
}

#[test]
fn show_prints_each_setting_with_its_source() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("gantry.toml");
    let settings = "[user]\nserver.weight = 2\nbootstrap = { admin_email = 'root@example.org', \
                    admin_password = 'correct horse battery staple' }\n";
    fs::write(&config, settings).unwrap();
    let args = ["show", "--config", config.to_str().unwrap(), "--registry", "consul"];
    let shown = text(&run("gantry", &args));
    let file = config.display();
    for line in [
        format!("user.server.weight = 2  # file {file}"),
        format!("user.bootstrap.admin_password = \"[redacted]\"  # file {file}"),
        "discovery.kind = \"consul\"  # --registry, setting discovery.kind".to_owned(),
        "telemetry.filter = \"info\"  # built-in defaults".to_owned(),
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}:\n{shown}");
    }
    assert!(!shown.contains("battery"));
}

#[test]
fn show_as_json_is_the_page_of_a_running_suite() {
    let suite = Suite::start(&[]);
    let page: Value = serde_json::from_str(&page(&suite, "/config")).unwrap();
    let data = suite.data();
    let args = ["show", "--json", "--data-dir", data.to_str().unwrap()];
    let shown: Value = serde_json::from_str(&text(&run("gantry", &args))).unwrap();
    // The running suite has limits of its own, and connection limits derived from the limit of open files.
    let comparable = |mut settings: Value| {
        for service in SERVICES {
            let server = settings[service]["server"].as_object_mut().unwrap();
            server.remove("limits");
            server["connections"].as_object_mut().unwrap().remove("max");
        }
        let sources = settings["sources"].as_object_mut().unwrap();
        sources.retain(|key, _| !key.contains(".limits.") && !key.ends_with(".connections.max"));
        settings
    };
    assert!(comparable(shown) == comparable(page));
}
