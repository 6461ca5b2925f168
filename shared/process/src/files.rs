//! Checks of the files that settings name, before the process changes anything.

use std::path::{Path, PathBuf};

use gantry_client::ClientTls;
use gantry_config::Problems;
use gantry_identity::{PublicKey, SigningKey};
use gantry_server::{IdempotencySettings, ServerTls};

/// Checks of the files that a service's settings name. Each missing or unusable file becomes a
/// problem of its setting.
#[derive(Debug)]
pub struct FileChecks<'a> {
    problems: &'a mut Problems,
    /// Files that this start creates if they are missing.
    made: &'a [PathBuf],
}

impl<'a> FileChecks<'a> {
    /// Collects into `problems`. Files of `made` may be missing.
    pub fn new(problems: &'a mut Problems, made: &'a [PathBuf]) -> Self {
        Self { problems, made }
    }

    /// Checks a private key.
    pub fn private_key(&mut self, key: &str, path: &Path) {
        if self.is_due(path) {
            self.add(key, SigningKey::load(path).err());
        }
    }

    /// Checks a public key.
    pub fn public_key(&mut self, key: &str, path: &Path) {
        if self.is_due(path) {
            self.add(key, PublicKey::load(path).err());
        }
    }

    /// Checks a list of public keys.
    pub fn public_keys(&mut self, key: &str, paths: &[PathBuf]) {
        for (number, path) in paths.iter().enumerate() {
            self.public_key(&format!("{key}.{number}"), path);
        }
    }

    /// Checks a service's own key, if any, and the trusted keys.
    pub fn identity(&mut self, identity: &gantry_identity::Settings) {
        self.private_key("identity.key_file", &identity.key_file);
        for (number, trusted) in identity.trusted.iter().enumerate() {
            if let Some(path) = &trusted.key_file {
                self.public_key(&format!("identity.trusted.{number}.key_file"), path);
            }
        }
    }

    /// Checks the secret of request records. A missing one is fine: opening creates it.
    pub fn idempotency(&mut self, settings: &IdempotencySettings) {
        if settings.key_file.exists() {
            self.add("idempotency.key_file", settings.fingerprints().err());
        }
    }

    /// Checks the certificate and the key of a server.
    pub fn server_tls(&mut self, tls: Option<&ServerTls>) {
        if let Some(invalid) = tls.and_then(|tls| tls.load().err()) {
            self.add(&format!("server.tls.{}", invalid.key), Some(invalid.why));
        }
    }

    /// Checks the certificates and the key of a client. `key` is the key of its settings.
    pub fn client_tls(&mut self, key: &str, tls: Option<&ClientTls>) {
        if let Some(invalid) = tls.and_then(|tls| tls.load().err()) {
            self.add(&format!("{key}.tls.{}", invalid.key), Some(invalid.why));
        }
    }

    /// Returns true if the file must exist. An empty path is unset; `Check` reports it if it is
    /// required.
    fn is_due(&self, path: &Path) -> bool {
        let will_be_made = || !path.exists() && self.made.iter().any(|made| made == path);
        !path.as_os_str().is_empty() && !will_be_made()
    }

    fn add(&mut self, key: &str, why: Option<impl ToString>) {
        if let Some(why) = why {
            self.problems.add(key, why.to_string());
        }
    }
}
