//! What can be configured. `config/default.toml` says what each key means.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use gantry_config::{Check, ConfigError, Problems, Secret, Sources};
use serde::Deserialize;

use crate::domain::{Email, Password};

/// `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The process `user-service`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    /// Where callers reach it.
    pub listen: SocketAddr,
    /// Where operators reach it.
    pub admin: gantry_server::AdminSettings,
    /// Where it makes itself known.
    pub discovery: gantry_discovery::Settings,
    /// How it logs.
    pub telemetry: gantry_telemetry::Settings,
    /// The service in it.
    pub user: Settings,
}

/// The service, whatever process it is in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// How it is served.
    pub server: gantry_server::Settings,
    /// Whom it believes.
    pub identity: gantry_identity::Settings,
    /// Where its data is.
    pub database: gantry_sql::Settings,
    /// How it recognises repeated requests.
    pub idempotency: Idempotency,
    /// The tokens it gives to users.
    pub tokens: Tokens,
    /// How it hashes passwords.
    pub passwords: Passwords,
    /// The first administrator.
    pub bootstrap: Bootstrap,
}

/// How repeated requests are recognised.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Idempotency {
    /// The secret's file; made where it is missing.
    pub key_file: PathBuf,
}

/// The tokens that users get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The private key that signs access tokens, PKCS#8 PEM.
    pub key_file: PathBuf,
    /// How long an access token is valid.
    #[serde(with = "humantime_serde")]
    pub access_ttl: Duration,
    /// How long a refresh token is valid.
    #[serde(with = "humantime_serde")]
    pub refresh_ttl: Duration,
}

/// What an Argon2id hash costs, and how many may be made at a time.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passwords {
    /// Memory of one hash, in KiB (m).
    pub memory_kib: u32,
    /// Passes over it (t).
    pub iterations: NonZeroU32,
    /// Lanes in it (p).
    pub lanes: NonZeroU32,
    /// Hashes made at a time.
    pub parallel: NonZeroUsize,
    /// Callers who may wait for theirs.
    pub waiting: usize,
}

/// The first administrator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Their address; empty for none.
    pub admin_email: String,
    /// Their password.
    pub admin_password: Secret,
}

impl Own {
    /// The defaults, then `file`, then the environment.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(args: &gantry_config::Args) -> Result<Self, ConfigError> {
        let sources = Sources::new().defaults(DEFAULTS).file(args.config.as_deref()).environment();
        gantry_config::load(sources)
    }
}

impl Check for Own {
    fn check(&self, problems: &mut Problems) {
        problems.within("user", &self.user);
        // Defaults that would be wrong to guess: `gantry up` makes keys, this process
        // is given them.
        let user = &self.user;
        if user.identity.trusted.is_empty() {
            problems.expected("user.identity.trusted", "at least one key");
        }
        if user.idempotency.key_file.as_os_str().is_empty() {
            problems.expected("user.idempotency.key_file", "a file");
        }
        if user.tokens.key_file.as_os_str().is_empty() {
            problems.expected("user.tokens.key_file", "a file");
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        for problem in self.server.problems() {
            problems.expected(&format!("server.{}", problem.key), problem.expected);
        }
        problems.within("tokens", &self.tokens);
        problems.within("passwords", &self.passwords);
        problems.within("bootstrap", &self.bootstrap);
    }
}

impl Check for Tokens {
    fn check(&self, problems: &mut Problems) {
        const MINUTE: Duration = Duration::from_secs(60);
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        // An access token cannot be taken back.
        if !(MINUTE..=DAY).contains(&self.access_ttl) {
            problems.expected("access_ttl", "from 1m to 1d");
        }
        if !(self.access_ttl..=365 * DAY).contains(&self.refresh_ttl) {
            problems.expected("refresh_ttl", "from access_ttl to 1y");
        }
    }
}

impl Check for Passwords {
    fn check(&self, problems: &mut Problems) {
        const MOST_LANES: u32 = 64;
        const MOST_AT_ONCE: usize = 1_000_000;
        if self.lanes.get() > MOST_LANES {
            problems.expected("lanes", format_args!("at most {MOST_LANES}"));
        } else if self.memory_kib < 8 * self.lanes.get() {
            problems.expected("memory_kib", "at least 8 for each lane");
        }
        for (key, value) in [("parallel", self.parallel.get()), ("waiting", self.waiting)] {
            if value > MOST_AT_ONCE {
                problems.expected(key, format_args!("at most {MOST_AT_ONCE}"));
            }
        }
    }
}

impl Check for Bootstrap {
    fn check(&self, problems: &mut Problems) {
        if self.admin_email.is_empty() {
            return;
        }
        if let Err(invalid) = Email::try_new(&self.admin_email) {
            problems.add("admin_email", invalid.rule);
        }
        if let Err(invalid) = Password::try_new(self.admin_password.expose()) {
            problems.add("admin_password", invalid.rule);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(variables: &[(&str, &str)]) -> Result<Own, ConfigError> {
        let sources = Sources::new().defaults(DEFAULTS).variables(variables.iter().copied());
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
        assert_eq!(own.user.identity.grants["order"], ["users:read"]);
        assert_eq!(own.user.tokens.access_ttl, Duration::from_secs(15 * 60));
        assert_eq!(own.user.tokens.refresh_ttl, Duration::from_secs(30 * 24 * 60 * 60));
        let Passwords { memory_kib, iterations, lanes, .. } = own.user.passwords;
        assert_eq!((memory_kib, iterations.get(), lanes.get()), (19456, 2, 1));
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
        assert!(!format!("{own:?}").contains("horse"));
    }
}
