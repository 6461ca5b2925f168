//! The suite's keys, made in the data directory at the first start.
//!
//! In a cluster they are mounted; here every service gets its own, and each is
//! configured to believe the others and the user service's key for users' tokens.

use std::path::{Path, PathBuf};

use gantry_identity::{Issues, KeyError, Settings, SigningKey, TrustedKeySettings};

use crate::ports::SERVICES;

/// Whose tokens users bring, whoever checks them.
const USERS_ISSUER: &str = "gantry";

/// The folder with the suite's keys.
#[derive(Debug)]
pub(super) struct Keys {
    folder: PathBuf,
}

impl Keys {
    /// Makes what is missing: a key per service, and one for users' tokens.
    ///
    /// # Errors
    /// [`KeyError`] where the data directory cannot be written to, or holds something else.
    pub(super) fn provide(data_dir: &Path) -> Result<Self, KeyError> {
        let keys = Self { folder: data_dir.join("keys") };
        for service in SERVICES {
            SigningKey::load_or_create(&keys.private(service.name))?;
        }
        SigningKey::load_or_create(&keys.users_tokens())?;
        Ok(keys)
    }

    /// Fills in the identity of a service, where the configuration names none.
    pub(super) fn identify(&self, service: &str, identity: &mut Settings) {
        if identity.key_file.as_os_str().is_empty() {
            identity.key_file = self.private(service);
        }
        if identity.trusted.is_empty() {
            let users = TrustedKeySettings {
                issuer: USERS_ISSUER.to_owned(),
                issues: Issues::Users,
                key_file: Some(self.public("users-tokens")),
                jwks: None,
            };
            let others = SERVICES.iter().filter(|other| other.name != service).map(|other| {
                TrustedKeySettings {
                    issuer: other.name.to_owned(),
                    issues: Issues::Service,
                    key_file: Some(self.public(other.name)),
                    jwks: None,
                }
            });
            identity.trusted = [users].into_iter().chain(others).collect();
        }
    }

    /// The key that signs users' tokens.
    pub(super) fn users_tokens(&self) -> PathBuf {
        self.private("users-tokens")
    }

    /// The secret of a service's request records, which the service makes.
    pub(super) fn request_records(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}-requests.secret"))
    }

    fn private(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }

    fn public(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.pub.pem"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_believes_the_users_and_the_others_but_not_itself() {
        let folder = tempfile::tempdir().unwrap();
        let keys = Keys::provide(folder.path()).unwrap();
        for service in SERVICES {
            let mut identity = Settings::default();
            keys.identify(service.name, &mut identity);
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
        Keys::provide(folder.path()).unwrap();
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
        let first = Keys::provide(folder.path()).unwrap();
        let before = std::fs::read(first.users_tokens()).unwrap();
        let second = Keys::provide(folder.path()).unwrap();
        assert_eq!(std::fs::read(second.users_tokens()).unwrap(), before);
    }
}
