//! Default files of all services. They suffice for a start, equal the defaults in the code, and have valid
//! examples.

use gantry_client::ClientSettings;
use gantry_config::{ConfigError, Sources};
use gantry_process::{ProcessSettings, Service, ServiceSettings};

/// Returns the settings without which a service does not start.
pub fn required(name: &str) -> Vec<(String, String)> {
    let trusted = r#"[{issuer = "gantry", issues = "users", key_file = "users.pub.pem"}]"#;
    [
        ("IDENTITY__TRUSTED", trusted),
        ("IDENTITY__KEY_FILE", "own.pem"),
        ("IDEMPOTENCY__KEY_FILE", "requests.key"),
    ]
    .into_iter()
    .chain((name == "user").then_some(("TOKENS__KEY_FILE", "tokens.pem")))
    .map(|(key, value)| (format!("GANTRY_{}__{key}", name.to_uppercase()), value.to_owned()))
    .collect()
}

/// Returns a default file with its examples as settings instead of comments.
pub fn with_examples(text: &str) -> String {
    let is_example = |text: &&str| {
        text.starts_with('[') && text.ends_with(']')
            || text.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', ',']))
    };
    // Their examples are lists of tables.
    let lines = text.lines().filter(|line| !["trusted = []", "taxes = []"].contains(line));
    lines
        .map(|line| line.strip_prefix("# ").filter(is_example).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n")
}

fn load<S: Service>(
    texts: &[String],
    variables: &[(String, String)],
) -> Result<ProcessSettings<S>, ConfigError> {
    let variables = variables.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let sources = texts.iter().fold(Sources::new(), |sources, text| sources.defaults(text));
    gantry_config::load(sources.variables(variables))
}

fn defaults_are_enough<S: Service>(port: u16) {
    let texts = ServiceSettings::<S>::defaults();
    let settings = load::<S>(&texts, &required(S::NAME)).unwrap();
    assert_eq!(settings.listen.port(), port);
    assert_eq!(settings.discovery.consul, gantry_discovery::Settings::default().consul);
    assert_eq!(settings.telemetry, gantry_telemetry::Settings::default());
    let common = settings.service.common;
    assert_eq!(common.server, gantry_server::Settings::default());
    let database = format!(".gantry/{}.db", S::NAME);
    let storage = common.storage.unwrap();
    assert_eq!(storage.database.sqlite.path.to_str(), Some(&*database));
    let called: Vec<_> = S::CALLS.iter().map(|callee| callee.name).collect();
    assert!(called.iter().all(|name| common.clients.contains_key(*name)), "{called:?}");
    assert!(common.clients.values().all(|client| *client == ClientSettings::default()));
}

fn examples_are_settings<S: Service>() {
    let texts: Vec<_> =
        ServiceSettings::<S>::defaults().iter().map(|text| with_examples(text)).collect();
    let mut files = required(S::NAME);
    files.retain(|(variable, _)| !variable.ends_with("TRUSTED"));
    let settings = load::<S>(&texts, &files).unwrap();
    let common = settings.service.common;
    assert_eq!(settings.discovery.consul.datacenter.as_deref(), Some("dc1"));
    assert_eq!((common.identity.trusted.len(), common.server.zone.as_deref()), (3, Some("a")));
    assert!(common.server.tls.is_some_and(|tls| tls.client_ca_file.is_some()));
    assert!(common.clients.values().all(|client| client.methods.len() == 2));
}

fn without_keys_it_does_not_start<S: Service>() {
    let error = load::<S>(&ServiceSettings::<S>::defaults(), &[]).unwrap_err();
    let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    let named = |key: &str| keys.contains(&&*format!("{}.{key}", S::NAME));
    assert!(named("identity.trusted") && named("idempotency.key_file"), "{keys:?}");
    assert_eq!(named("identity.key_file"), !S::CALLS.is_empty(), "{keys:?}");
}

fn check<S: Service>(port: u16) {
    defaults_are_enough::<S>(port);
    examples_are_settings::<S>();
    without_keys_it_does_not_start::<S>();
}

#[test]
fn defaults_suffice_and_their_examples_are_settings() {
    check::<gantry_user::Service>(50051);
    check::<gantry_order::Service>(50052);
    check::<gantry_inventory::Service>(50053);
}
