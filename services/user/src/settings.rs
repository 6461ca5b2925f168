//! What can be configured. `config/default.toml` says what each key means.

use std::{
    collections::BTreeSet,
    fmt,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use gantry_config::{Bound, Check, Problems, Secret};
use gantry_identity::{KeyError, PublicKey, SigningKey};
use gantry_process::{FileChecks, OwnSettings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{Email, Password};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

const BOUNDS: &[Bound] = &[
    Bound::time("tokens.access_ttl", MINUTE, DAY),
    Bound::time("tokens.refresh_ttl", MINUTE, YEAR),
    Bound::count("passwords.memory_kib", 8, 1024 * 1024),
    Bound::count("passwords.iterations", 1, 1000),
    Bound::count("passwords.lanes", 1, 64),
    Bound::count("passwords.parallel", 1, 1024),
    Bound::count("passwords.waiting", 0, 1_000_000),
];

/// The service's own settings.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The tokens it gives to users.
    pub tokens: Tokens,
    /// How it hashes passwords.
    pub passwords: Passwords,
    /// The first administrator.
    pub bootstrap: Bootstrap,
}

/// The tokens that users get.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
    #[schemars(with = "String")]
    pub access_ttl: Duration,
    /// How long a refresh token is valid.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub refresh_ttl: Duration,
}

/// What an Argon2id hash costs, and how many may be made at a time.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
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
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
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

impl OwnSettings for Settings {
    const BOUNDS: &'static [&'static [Bound]] = &[BOUNDS];

    fn check_files(&self, files: &mut FileChecks<'_>) {
        files.private_key("tokens.key_file", &self.tokens.key_file);
        for (number, path) in self.tokens.published_key_files.iter().enumerate() {
            files.public_key(&format!("tokens.published_key_files.{number}"), path);
        }
    }
}

impl Check for Settings {
    fn check(&self, problems: &mut Problems) {
        problems.within("tokens", &self.tokens);
        problems.within("passwords", &self.passwords);
        problems.within("bootstrap", &self.bootstrap);
    }
}

impl Tokens {
    /// Returns the key that signs, then those that are published beside it, each once.
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be read.
    pub fn published_keys(&self) -> Result<Vec<PublicKey>, KeyError> {
        let signing = SigningKey::load(&self.key_file)?.public();
        let others = self.published_key_files.iter().map(|path| PublicKey::load(path));
        let mut keys = [Ok(signing)].into_iter().chain(others).collect::<Result<Vec<_>, _>>()?;
        // The same file may be listed on all replicas, before and after it begins to sign.
        let mut seen = BTreeSet::new();
        keys.retain(|key| seen.insert(key.key_id().to_owned()));
        Ok(keys)
    }
}

impl Check for Tokens {
    fn check(&self, problems: &mut Problems) {
        if self.key_file.as_os_str().is_empty() {
            problems.expected("key_file", "a file");
        }
        if self.refresh_ttl < self.access_ttl {
            problems.expected("refresh_ttl", "at least access_ttl");
        }
    }
}

impl Check for Passwords {
    fn check(&self, problems: &mut Problems) {
        /// KiB that one hash passes over: some seconds of a processor.
        const MOST_WORK: u64 = 4 * 1024 * 1024;
        /// KiB of all hashes at a time: 16 GiB.
        const MOST_MEMORY: u64 = 16 * 1024 * 1024;
        let memory = u64::from(self.memory_kib);
        if memory < u64::from(self.lanes.get()).saturating_mul(8) {
            problems.expected("memory_kib", "at least 8 for each lane");
        }
        if memory.saturating_mul(self.iterations.get().into()) > MOST_WORK {
            let most = MOST_WORK / memory.max(1);
            problems.expected(
                "iterations",
                format_args!("at most {most} with this memory_kib: one hash would take too long"),
            );
        }
        if memory.saturating_mul(self.parallel.get() as u64) > MOST_MEMORY {
            let most = MOST_MEMORY / memory.max(1);
            problems.expected(
                "parallel",
                format_args!("at most {most} with this memory_kib: together at most 16 GiB"),
            );
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
