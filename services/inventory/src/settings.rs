//! What can be configured. `config/default.toml` says what each key means.

use gantry_config::{Bound, Check, Problems};
use gantry_process::{CLIENT_BOUNDS, FileChecks, Table};
use gantry_proto::CONTRACT;
use serde::{Deserialize, Serialize};

/// What other services call it.
pub(crate) const NAME: &str = "inventory";

/// `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of the process `inventory-service`.
pub type Own = gantry_process::Own<Settings>;

/// The service, whatever process it is in.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How it is served.
    pub server: gantry_server::Settings,
    /// Whom it believes.
    pub identity: gantry_identity::Settings,
    /// Where its data is.
    pub database: gantry_sql::Settings,
    /// How it recognises repeated requests.
    pub idempotency: gantry_server::IdempotencySettings,
    /// How it fetches users' keys, where `identity` says so.
    #[serde(default)]
    pub client: gantry_client::ClientSettings,
}

impl Table for Settings {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;
    const BOUNDS: &'static [&'static [Bound]] = &[CLIENT_BOUNDS];

    fn check_discovery(&self, discovery: &gantry_discovery::Settings, problems: &mut Problems) {
        let is_secure = |_: &str| self.client.tls.is_some();
        gantry_process::check_published_keys(&self.identity, discovery, is_secure, problems);
    }

    fn check_files(&self, files: &mut FileChecks<'_>) {
        files.identity(&self.identity);
        files.idempotency(&self.idempotency);
        files.server_tls(self.server.tls.as_ref());
        files.client_tls("client", self.client.tls.as_ref());
    }

    fn check_alone(&self, problems: &mut Problems) {
        // `gantry up` makes keys, this process is given them.
        if self.identity.trusted.is_empty() {
            problems.expected("identity.trusted", "at least one key");
        }
        if self.idempotency.key_file.as_os_str().is_empty() {
            problems.expected("idempotency.key_file", "a file");
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        gantry_process::check_server(&self.server, &CONTRACT, problems);
        gantry_process::check_identity(&self.identity, &CONTRACT, problems);
        gantry_process::check_client("client", &self.client, &CONTRACT, problems);
    }
}

#[cfg(test)]
mod tests {
    use gantry_config::{ConfigError, Sources};

    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Own, ConfigError> {
        let sources = Own::sources().variables(variables.iter().copied());
        gantry_config::load(sources)
    }

    const KEYS: [(&str, &str); 2] = [
        (
            "GANTRY_INVENTORY__IDENTITY__TRUSTED",
            r#"[{issuer = "gantry", issues = "users", key_file = "users.pub.pem"}]"#,
        ),
        ("GANTRY_INVENTORY__IDEMPOTENCY__KEY_FILE", "requests.key"),
    ];

    #[test]
    fn with_its_keys_named_the_defaults_are_enough() {
        let own = load(&KEYS).unwrap();
        assert_eq!(own.listen.port(), 50053);
        assert_eq!(own.service.identity.grants["order"], ["products:read", "reservations:write"]);
    }

    #[test]
    fn the_file_says_what_the_code_defaults_to() {
        let own = load(&KEYS).unwrap();
        assert_eq!(own.service.server, gantry_server::Settings::default());
        let database = gantry_sql::Settings::new(".gantry/inventory.db");
        assert_eq!(format!("{:?}", own.service.database), format!("{database:?}"));
        let consul = gantry_discovery::Settings::default().consul;
        assert_eq!(own.discovery.consul, consul);
    }

    #[test]
    fn the_examples_in_the_file_are_settings() {
        let is_example = |text: &&str| {
            text.starts_with('[')
                || text.split_once(" = ").is_some_and(|(key, _)| !key.contains([' ', ',']))
        };
        let text: String = DEFAULTS
            .lines()
            .filter(|line| *line != "trusted = []")
            .map(|line| line.strip_prefix("# ").filter(is_example).unwrap_or(line))
            .fold(String::new(), |text, line| text + line + "\n");
        let sources = Sources::new().defaults(&text).variables([KEYS[1]]);
        let own: Own = gantry_config::load(sources).unwrap();
        assert_eq!(own.service.identity.trusted.len(), 3);
        assert_eq!(own.service.server.zone.as_deref(), Some("a"));
        assert!(own.service.server.tls.is_some_and(|tls| tls.client_ca_file.is_some()));
        assert_eq!(own.discovery.consul.datacenter.as_deref(), Some("dc1"));
    }

    #[test]
    fn without_keys_it_does_not_start() {
        let error = load(&[]).unwrap_err();
        let keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, ["inventory.identity.trusted", "inventory.idempotency.key_file"]);
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let wrong = [
            ("GANTRY_LISTEN", "here"),
            ("GANTRY_INVENTORY__SERVER__WEIGHT", "0"),
            ("GANTRY_INVENTORY__SERVER__LIMITS__CLASSES__LIST__PER_SECOND", "1"),
            ("GANTRY_INVENTORY__SERVER__LIMITS__CLASSES__LIST__BURST", "1"),
            ("GANTRY_INVENTORY__CLIENT__CONNECT_TIMEOUT", "0s"),
            ("GANTRY_INVENTORY__CLIENT__MAX_CONNECTIONS", "0"),
            ("GANTRY_INVENTORY__IDENTITY__GRANTS", r#"{order = ["products:raed"]}"#),
            ("GANTRY_INVENTORY__IDENTITY__TRUSTED", r#"[{issuer = "gantry", issues = "users"}]"#),
            ("GANTRY_INVENTORY__DATABSE__PATH", "x"),
        ];
        let error = load(&[&KEYS[..], &wrong].concat()).unwrap_err();
        let mut keys: Vec<_> = error.problems.iter().map(|problem| problem.key.as_str()).collect();
        keys.sort_unstable();
        let expected = [
            "inventory.client.connect_timeout",
            "inventory.client.max_connections",
            "inventory.databse",
            "inventory.identity.grants.order",
            "inventory.identity.trusted.1",
            "inventory.server.limits.classes.list",
            "inventory.server.weight",
            "listen",
        ];
        assert_eq!(keys, expected);
        assert!(error.problems.iter().all(|problem| problem.source.is_some()), "{error}");
    }
}
