//! What can be configured. `config/default.toml` says what each key means.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use gantry_config::{Check, Problems, Secret};
use gantry_process::Table;
use gantry_proto::CONTRACT;
use serde::Deserialize;

use crate::domain::{Email, Password};

/// What other services call it.
pub(crate) const NAME: &str = "user";

/// `config/default.toml`.
pub const DEFAULTS: &str = include_str!("../config/default.toml");

/// The settings of the process `user-service`.
pub type Own = gantry_process::Own<Settings>;

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
    pub idempotency: gantry_server::IdempotencySettings,
    /// The tokens it gives to users.
    pub tokens: Tokens,
    /// How it hashes passwords.
    pub passwords: Passwords,
    /// The first administrator.
    pub bootstrap: Bootstrap,
}

/// The tokens that users get.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// The private key that signs access tokens, PKCS#8 PEM.
    pub key_file: PathBuf,
    /// The public keys, SubjectPublicKeyInfo PEM, that are published besides: of the key
    /// that will sign next, and of the one that did before.
    #[serde(default)]
    pub published_key_files: Vec<PathBuf>,
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

/// The first administrator. `Debug` does not show them.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bootstrap {
    /// Their address; empty for none.
    pub admin_email: String,
    /// Their password.
    pub admin_password: Secret,
}

impl fmt::Debug for Bootstrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bootstrap").finish_non_exhaustive()
    }
}

impl Table for Settings {
    const NAME: &'static str = NAME;
    const DEFAULTS: &'static str = DEFAULTS;

    fn check_alone(&self, problems: &mut Problems) {
        // `gantry up` makes keys, this process is given them.
        if self.identity.trusted.is_empty() {
            problems.expected("identity.trusted", "at least one key");
        }
        if self.idempotency.key_file.as_os_str().is_empty() {
            problems.expected("idempotency.key_file", "a file");
        }
        if self.tokens.key_file.as_os_str().is_empty() {
            problems.expected("tokens.key_file", "a file");
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        gantry_process::check_server(&self.server, &CONTRACT, problems);
        gantry_process::check_identity(&self.identity, &CONTRACT, problems);
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
mod tests;
