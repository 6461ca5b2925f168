//! Keys of the suite, created in the data directory at the first start.
//!
//! Each service has a key of its own, and trusts the keys of the other services and the key of users'
//! tokens. In a cluster, key files are mounted instead.

use std::path::{Path, PathBuf};

use gantry_identity::{Issues, KeyError, SigningKey, TrustedKeySettings};

use crate::suite::Row;

/// Issuer of users' tokens.
const USERS_ISSUER: &str = "gantry";

/// File name, without extension, of the key that signs users' tokens.
const USERS_TOKENS: &str = "users-tokens";

/// Folder of the suite's keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
    services: &'static [Row],
}

impl Keys {
    /// Returns the keys of these services in a data directory. Creates no file.
    pub(crate) fn new(data_dir: &Path, services: &'static [Row]) -> Self {
        Self { folder: data_dir.join("keys"), services }
    }

    /// Creates the missing keys: one for each service, and one for users' tokens.
    ///
    /// # Errors
    /// [`KeyError`] if a file cannot be written, or holds no key.
    pub(super) fn provide(&self) -> Result<(), KeyError> {
        for service in self.services {
            SigningKey::load_or_create(&self.private(service.name))?;
        }
        SigningKey::load_or_create(&self.users_tokens())?;
        Ok(())
    }

    /// Returns the files that [`provide`](Self::provide) creates.
    pub(super) fn made(&self) -> Vec<PathBuf> {
        let names = self.services.iter().map(|service| service.name).chain([USERS_TOKENS]);
        names.flat_map(|name| [self.private(name), self.public(name)]).collect()
    }

    /// Returns the keys that a service trusts: the key of users' tokens and those of all other services.
    pub(super) fn trusted_by(&self, service: &str) -> Vec<TrustedKeySettings> {
        let trusted = |issuer: &str, issues, name| {
            TrustedKeySettings::new(issuer, issues).key_file(self.public(name))
        };
        let others = self.services.iter().map(|other| other.name).filter(|other| *other != service);
        [trusted(USERS_ISSUER, Issues::Users, USERS_TOKENS)]
            .into_iter()
            .chain(others.map(|other| trusted(other, Issues::Service, other)))
            .collect()
    }

    /// Returns the private key of users' tokens.
    pub(super) fn users_tokens(&self) -> PathBuf {
        self.private(USERS_TOKENS)
    }

    /// Returns the public key of users' tokens.
    pub(crate) fn users_tokens_public(&self) -> PathBuf {
        self.public(USERS_TOKENS)
    }

    /// Returns the file with the secret of a service's request records. The service creates it.
    pub(super) fn request_records(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}-requests.secret"))
    }

    /// Returns the private key of a service.
    pub(crate) fn private(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// Returns the public key of a service.
    pub(crate) fn public(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pub.pem"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SERVICES;

    #[test]
    fn a_service_trusts_users_and_the_others_but_not_itself() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(folder.path(), SERVICES);
        keys.provide().unwrap();
        assert!(keys.made().iter().all(|file| file.exists()));
        for service in SERVICES {
            let identity = gantry_identity::Settings::default()
                .key_file(keys.private(service.name))
                .trusted(keys.trusted_by(service.name));
            identity.signer(service.name).unwrap();
            identity.verifier(service.name, |_| None).unwrap();
            assert_eq!(identity.trusted.len(), SERVICES.len());
            assert!(identity.trusted.iter().all(|entry| entry.issuer != service.name));
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_public_keys_are_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        Keys::new(folder.path(), SERVICES).provide().unwrap();
        let files = std::fs::read_dir(folder.path().join("keys")).unwrap().map(Result::unwrap);
        let (public, private): (Vec<_>, Vec<_>) =
            files.partition(|file| file.file_name().to_string_lossy().ends_with(".pub.pem"));
        assert_eq!((private.len(), public.len()), (SERVICES.len() + 1, SERVICES.len() + 1));
        for file in private {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_second_start_finds_the_same_keys() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::new(folder.path(), SERVICES);
        keys.provide().unwrap();
        let before = std::fs::read(keys.users_tokens()).unwrap();
        keys.provide().unwrap();
        assert_eq!(std::fs::read(keys.users_tokens()).unwrap(), before);
    }
}
