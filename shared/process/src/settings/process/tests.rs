use gantry_contract::Contract;
use gantry_discovery::Kind;
use gantry_identity::KeySource;
use gantry_server::ServerBuilder;

use super::*;
use crate::{Base, Callee, KeysApi, NoSettings, OpenError, OwnSettings};

static CONTRACT: Contract = Contract {
    services: &[],
    roles: &[],
    permissions: &["greetings:read"],
    rate_classes: &[],
    descriptor_set: &[],
};

#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct Words {
    words: u32,
    first: String,
}

impl OwnSettings for Words {
    fn check(&self, problems: &mut Problems) {
        if self.words == 0 {
            problems.expected("words", "at least 1");
        }
    }
}

#[derive(Debug)]
struct Greeter;

impl Service for Greeter {
    const NAME: &'static str = "greeter";
    const ABOUT: &'static str = "Greets";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = "
        listen = '127.0.0.1:50090'
        admin.listen = '127.0.0.1:9190'
        discovery.kind = 'memory'
        telemetry.format = 'json'
        greeter.words = 2
        greeter.first = 'hello'
        greeter.server.weight = 2
    ";
    const CALLS: &'static [Callee] = &[Callee::new("speech", &CONTRACT)];
    const KEYS: Option<KeysApi> = Some(KeysApi {
        publisher: Callee::new("user", &CONTRACT),
        grpc_service: "shop.user.v1.AuthService",
        fetch: |_| KeySource::new(async || Ok(Vec::new())),
    });
    type Settings = Words;

    async fn open(_: &Base, _: Words) -> Result<Self, OpenError> {
        Ok(Self)
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server
    }
}

const TRUSTED: &str = r#"[{issuer = "gantry", issues = "users", key_file = "users.pub.pem"}]"#;
const KEYS: [(&str, &str); 2] = [
    ("GANTRY_GREETER__IDENTITY__KEY_FILE", "greeter.pem"),
    ("GANTRY_GREETER__IDENTITY__TRUSTED", TRUSTED),
];

fn load(variables: &[(&str, &str)]) -> Result<ProcessSettings<Greeter>, ConfigError> {
    let variables = KEYS.iter().chain(variables).copied();
    gantry_config::load(ProcessSettings::<Greeter>::sources().variables(variables))
}

fn keys(error: &ConfigError) -> Vec<&str> {
    let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
    keys.sort_unstable();
    keys
}

/// Returns the problem of a key.
fn problem(error: &ConfigError, key: &str) -> String {
    let of = error.problems.iter().find(|problem| problem.key == key);
    of.map(ToString::to_string).unwrap_or_else(|| panic!("no problem of {key}: {error}"))
}

#[test]
fn a_table_has_the_common_keys_and_its_own() {
    let variables = [("GANTRY_GREETER__WORDS", "3"), ("GANTRY_GREETER__SERVER__WEIGHT", "7")];
    let settings = load(&variables).unwrap();
    let ServiceSettings { common, own } = &settings.service;
    assert_eq!((settings.listen.port(), own.words, common.server.weight), (50090, 3, 7));
    let shown = serde_json::to_value(&settings).unwrap();
    assert_eq!(
        (&shown["greeter"]["words"], &shown["greeter"]["server"]["weight"]),
        (&3.into(), &7.into())
    );
}

#[test]
fn every_problem_is_reported_by_its_key() {
    let wrong = [
        ("GANTRY_LISTEN", "here"),
        ("GANTRY_DISCOVERY__KNID", "consul"),
        ("GANTRY_GREETING", "hello"),
        ("GANTRY_GREETER__WORDS", "0"),
        ("GANTRY_GREETER__WORD", "1"),
        ("GANTRY_GREETER__SERVER__WEIGHT", "0"),
        ("GANTRY_GREETER__SERVER__WIEGHT", "1"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__CONNECT_TIMEOUT", "0s"),
        ("GANTRY_GREETER__CLIENTS__SPECH__CONNECT_TIMEOUT", "1s"),
        ("GANTRY_GREETER__IDENTITY__GRANTS", r#"{reader = ["greetings:raed"]}"#),
    ];
    let error = load(&wrong).unwrap_err();
    let expected = [
        "discovery.knid",
        "greeter.clients.spech",
        "greeter.clients.speech.connect_timeout",
        "greeter.identity.grants.reader",
        "greeter.server.weight",
        "greeter.server.wieght",
        "greeter.word",
        "greeter.words",
        "greeting",
        "listen",
    ];
    assert_eq!(keys(&error), expected);
    assert!(error.problems.iter().all(|problem| problem.source.is_some()), "{error}");
    assert_eq!(
        problem(&error, "greeting"),
        "greeting: unknown key, expected one of profile, listen, admin, discovery, telemetry, greeter \
         (variable GANTRY_GREETING)"
    );
    assert_eq!(
        problem(&error, "greeter.word"),
        "greeter.word: unknown key, expected one of server, identity, clients, words, first (variable GANTRY_GREETER__WORD)"
    );
    assert!(
        problem(&error, "greeter.clients.spech")
            .contains("unknown key, expected one of speech, user")
    );
}

#[test]
fn without_keys_no_process_starts() {
    let sources = ProcessSettings::<Greeter>::sources();
    let error = gantry_config::load::<ProcessSettings<Greeter>>(sources).unwrap_err();
    // Without a database there are no request records, which would need a key.
    assert_eq!(keys(&error), ["greeter.identity.key_file", "greeter.identity.trusted"]);
}

#[test]
fn keys_are_not_fetched_over_plaintext_from_elsewhere() {
    let mut variables = vec![
        ("GANTRY_DISCOVERY__KIND", "consul"),
        (
            "GANTRY_GREETER__IDENTITY__TRUSTED",
            r#"[{issuer = "gantry", issues = "users", jwks = "people"}]"#,
        ),
        ("GANTRY_GREETER__CLIENTS__PEOPLE__MAX_CONNECTIONS", "1"),
    ];
    let error = load(&variables).unwrap_err();
    assert_eq!(keys(&error), ["greeter.identity.trusted.1.jwks"]);
    variables.push(("GANTRY_GREETER__CLIENTS__PEOPLE__TLS__CA_FILE", "ca.pem"));
    let settings = load(&variables).unwrap();
    assert_eq!(settings.discovery.kind, Kind::Consul);
}

#[test]
fn a_missing_table_is_named() {
    let sources = Sources::new().defaults("listen = '127.0.0.1:1'");
    let error = gantry_config::load::<ProcessSettings<Greeter>>(sources).unwrap_err();
    let keys = keys(&error);
    for missing in ["admin", "greeter", "greeter.server", "greeter.words"] {
        assert!(keys.contains(&missing), "{missing}: {keys:?}");
    }
}

#[test]
fn a_service_without_a_database_has_no_keys_for_one() {
    let wrong = [
        ("GANTRY_GREETER__DATABASE__PATH", "greeter.db"),
        ("GANTRY_GREETER__IDEMPOTENCY__KEY_FILE", "requests.key"),
        ("GANTRY_GREETER__SAGA__POLL", "1s"),
    ];
    let error = load(&wrong).unwrap_err();
    assert_eq!(keys(&error), ["greeter.database", "greeter.idempotency", "greeter.saga"]);
    assert_eq!(
        problem(&error, "greeter.database"),
        "greeter.database: unknown key, expected one of server, identity, clients, words, first \
         (variable GANTRY_GREETER__DATABASE__PATH)"
    );
    let shown = serde_json::to_value(load(&[]).unwrap()).unwrap();
    let mut table: Vec<_> = shown["greeter"].as_object().unwrap().keys().collect();
    table.sort_unstable();
    assert_eq!(table, ["clients", "first", "identity", "server", "words"]);
}

#[test]
fn every_problem_of_a_client_is_reported() {
    let wrong = [
        ("GANTRY_GREETER__CLIENTS__SPEECH__MAX_CONNECTIONS", "0"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__RECONNECT_MAX", "1ms"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__BREAKER__MINIMUM_CALLS", "200"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__BREAKER__OPEN", "2m"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__EJECTION__MAX_TIME", "1s"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__STREAM_MAX_AGE", "long"),
        ("GANTRY_GREETER__CLIENTS__SPEECH__COMPRESSION", "often"),
    ];
    let error = load(&wrong).unwrap_err();
    let expected = [
        "breaker.minimum_calls",
        "breaker.open_max",
        "compression",
        "ejection.max_time",
        "max_connections",
        "reconnect_max",
        "stream_max_age",
    ];
    assert_eq!(keys(&error), expected.map(|key| format!("greeter.clients.speech.{key}")));
}

#[derive(Debug)]
struct Keeper;

impl Service for Keeper {
    const NAME: &'static str = "keeper";
    const ABOUT: &'static str = "Keeps sagas";
    const CONTRACT: Option<&'static Contract> = Some(&CONTRACT);
    const DEFAULTS: &'static str = "listen = '127.0.0.1:1'\nadmin.listen = '127.0.0.1:2'";
    const SAGAS: bool = true;
    type Settings = NoSettings;

    async fn open(_: &Base, _: NoSettings) -> Result<Self, OpenError> {
        Ok(Self)
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server
    }
}

#[test]
fn a_service_with_sagas_has_their_settings() {
    let load = |wrong: &[(&str, &str)]| {
        let variables =
            wrong.iter().copied().chain([("GANTRY_KEEPER__IDENTITY__TRUSTED", TRUSTED)]);
        gantry_config::load(ProcessSettings::<Keeper>::sources().variables(variables))
    };
    let settings: ProcessSettings<Keeper> = load(&[]).unwrap();
    assert_eq!(settings.service.common.saga, Some(gantry_saga::Policy::default()));
    let wrong = [("GANTRY_KEEPER__SAGA__POLL", "0s"), ("GANTRY_KEEPER__SAGA__RETRY_MAX", "1ms")];
    let error = load(&wrong).unwrap_err();
    assert_eq!(keys(&error), ["keeper.saga.poll", "keeper.saga.retry_max"]);
}

static MIGRATIONS: gantry_sql::Migrations = gantry_sql::Migrations {
    sqlite: sqlx::migrate::Migrator::DEFAULT,
    postgres: sqlx::migrate::Migrator::DEFAULT,
    shared: &[],
};

/// A service that only calls others.
#[derive(Debug)]
struct Mailer;

impl Service for Mailer {
    const NAME: &'static str = "mailer";
    const ABOUT: &'static str = "Mails";
    const DEFAULTS: &'static str = "listen = '127.0.0.1:1'\nadmin.listen = '127.0.0.1:2'";
    const MIGRATIONS: Option<&'static gantry_sql::Migrations> = Some(&MIGRATIONS);
    type Settings = NoSettings;

    async fn open(_: &Base, _: NoSettings) -> Result<Self, OpenError> {
        Ok(Self)
    }

    fn serve(&self, server: ServerBuilder) -> ServerBuilder {
        server
    }
}

#[test]
fn a_service_without_a_contract_needs_no_keys_of_callers() {
    let load = |variables: &[(&str, &str)]| {
        let sources = ProcessSettings::<Mailer>::sources().variables(variables.iter().copied());
        gantry_config::load::<ProcessSettings<Mailer>>(sources)
    };
    let common = load(&[]).unwrap().service.common;
    assert!(common.identity.trusted.is_empty());
    assert!(common.storage.is_some_and(|storage| storage.idempotency.is_none()));
    let error = load(&[("GANTRY_MAILER__IDEMPOTENCY__KEY_FILE", "requests.key")]).unwrap_err();
    assert_eq!(keys(&error), ["mailer.idempotency"]);
}
