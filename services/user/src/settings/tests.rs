//! What the settings take and refuse.

use gantry_config::{ConfigError, Sources};
use gantry_process::{ProcessSettings, Service as _};

use super::*;
use crate::Service;

type Own = ProcessSettings<Service>;

fn load(variables: &[(&str, &str)]) -> Result<Own, ConfigError> {
    let sources = Own::sources().variables(variables.iter().copied());
    gantry_config::load(sources)
}

fn refused(variables: &[(&str, &str)]) -> Vec<String> {
    let error = load(variables).unwrap_err();
    let mut keys: Vec<_> = error.problems.into_iter().map(|problem| problem.key).collect();
    keys.sort_unstable();
    keys
}

const KEYS: [(&str, &str); 3] = [
    (
        "GANTRY_USER__IDENTITY__TRUSTED",
        r#"[{issuer = "gantry", issues = "users", key_file = "users-tokens.pub.pem"}]"#,
    ),
    ("GANTRY_USER__IDEMPOTENCY__KEY_FILE", "requests.key"),
    ("GANTRY_USER__TOKENS__KEY_FILE", "users-tokens.pem"),
];

#[test]
fn with_its_keys_named_the_defaults_are_enough() {
    let own = load(&KEYS).unwrap();
    assert_eq!(own.listen.port(), 50051);
    assert_eq!(own.service.common.identity.grants["order"], ["users:read"]);
    assert_eq!(own.service.own.tokens.access_ttl, Duration::from_secs(15 * 60));
    assert_eq!(own.service.own.tokens.refresh_ttl, Duration::from_secs(30 * 24 * 60 * 60));
    let Passwords { memory_kib, iterations, lanes, .. } = own.service.own.passwords;
    assert_eq!((memory_kib, iterations.get(), lanes.get()), (19456, 2, 1));
}

#[test]
fn the_file_says_what_the_code_defaults_to() {
    let own = load(&KEYS).unwrap();
    assert_eq!(own.service.common.server, gantry_server::Settings::default());
    let database = gantry_sql::Settings::new(".gantry/user.db");
    assert_eq!(format!("{:?}", own.service.common.database), format!("{database:?}"));
    assert_eq!(own.discovery.consul, gantry_discovery::Settings::default().consul);
}

#[test]
fn the_examples_in_the_file_are_settings() {
    let is_example = |text: &&str| {
        text.starts_with('[')
            || text.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', ',']))
    };
    let text: String = Service::DEFAULTS
        .lines()
        .filter(|line| *line != "trusted = []")
        .map(|line| line.strip_prefix("# ").filter(is_example).unwrap_or(line))
        .fold(String::new(), |text, line| text + line + "\n");
    let sources = Sources::new().defaults(&text).variables([KEYS[1], KEYS[2]]);
    let own: Own = gantry_config::load(sources).unwrap();
    assert_eq!(own.service.common.identity.trusted.len(), 2);
    assert_eq!(own.service.common.server.zone.as_deref(), Some("a"));
    assert!(own.service.common.server.tls.is_some_and(|tls| tls.client_ca_file.is_some()));
    assert_eq!(own.discovery.consul.datacenter.as_deref(), Some("dc1"));
}

#[test]
fn without_keys_it_does_not_start() {
    assert_eq!(
        refused(&[]),
        ["user.idempotency.key_file", "user.identity.trusted", "user.tokens.key_file"]
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let wrong = [
        ("GANTRY_LISTEN", "here"),
        ("GANTRY_USER__SERVER__WEIGHT", "0"),
        ("GANTRY_USER__DATABSE__PATH", "x"),
        ("GANTRY_USER__TOKENS__ACCESS_TTL", "1s"),
        ("GANTRY_USER__PASSWORDS__MEMORY_KIB", "7"),
        ("GANTRY_USER__PASSWORDS__ITERATIONS", "0"),
    ];
    assert_eq!(
        refused(&[&KEYS[..], &wrong].concat()),
        [
            "listen",
            "user.databse",
            "user.passwords.iterations",
            "user.passwords.memory_kib",
            "user.server.weight",
            "user.tokens.access_ttl",
        ]
    );
}

#[test]
fn an_administrator_needs_a_good_password_which_no_error_shows() {
    let admin = ("GANTRY_USER__BOOTSTRAP__ADMIN_EMAIL", "admin@gantry.local");
    let password = ("GANTRY_USER__BOOTSTRAP__ADMIN_PASSWORD", "horse");
    let error = load(&[&KEYS[..], &[admin, password]].concat()).unwrap_err().to_string();
    assert!(error.starts_with("user.bootstrap.admin_password: "), "{error}");
    assert!(!error.contains("horse"), "{error}");
    let own = load(&[&KEYS[..], &[admin, (password.0, "correct horse")]].concat()).unwrap();
    let shown = format!("{own:?}");
    assert!(!shown.contains("horse") && !shown.contains("admin@"), "{shown}");
}
