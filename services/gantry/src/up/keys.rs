//! The suite's keys, made in the data directory at the first start.
//!
//! In a cluster they are mounted; here every service gets its own, and each is
//! configured to believe the others and the user service's key for users' tokens.

use std::path::{Path, PathBuf};

use gantry_identity::{Issues, KeyError, SigningKey, TrustedKeySettings};

use crate::suite::Row;

/// Whose tokens users bring, whoever checks them.
const USERS_ISSUER: &str = "gantry";

/// Name of the files with the key that signs them.
const USERS_TOKENS: &str = "users-tokens";

/// The folder with the suite's keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    folder: PathBuf,
    services: &'static [Row],
}

impl Keys {
    /// Returns the keys of these services in a data directory. Nothing is made yet.
    pub(crate) fn new(data_dir: &Path, services: &'static [Row]) -> Self {
        Self { folder: data_dir.join("keys"), services }
    }

    /// Makes what is missing: a key per service, and one for users' tokens.
    ///
    /// # Errors
    /// [`KeyError`] if the data directory cannot be written to, or holds something else.
    pub(super) fn provide(&self) -> Result<(), KeyError> {
        for service in self.services {
            SigningKey::load_or_create(&self.private(service.name))?;
        }
        SigningKey::load_or_create(&self.users_tokens())?;
        Ok(())
    }

    /// The files that [`provide`](Self::provide) makes.
    pub(super) fn made(&self) -> Vec<PathBuf> {
        let names = self.services.iter().map(|service| service.name).chain([USERS_TOKENS]);
        names.flat_map(|name| [self.private(name), self.public(name)]).collect()
    }

    /// The keys that a service believes: the users' and those of every other service.
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

    /// The key that signs users' tokens.
    pub(super) fn users_tokens(&self) -> PathBuf {
        self.private(USERS_TOKENS)
    }

    /// Returns the public key of users' tokens.
    pub(crate) fn users_tokens_public(&self) -> PathBuf {
        self.public(USERS_TOKENS)
    }

    /// The secret of a service's request records, which the service makes.
    pub(super) fn request_records(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}-requests.secret"))
    }

    /// The private key of a service.
    pub(crate) fn private(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    /// The public key of a service.
    pub(crate) fn public(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pub.pem"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::SERVICES;

    #[test]
    fn every_service_believes_the_users_and_the_others_but_not_itself() {
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
    fn what_is_made_is_its_owners_alone_but_for_public_keys() {
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
