//! How an identity is configured.

use std::path::PathBuf;

use gantry_contract::access::Grants;
use serde::Deserialize;

use crate::{Issues, KeyError, PublicKey, ServiceSigner, SigningKey, TrustedKey, Verifier};

/// A service's identity: its own key, the keys it believes, and what calling
/// services may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The service's private key, PKCS#8 PEM. It must exist.
    pub key_file: PathBuf,
    /// Whose tokens are believed.
    #[serde(default)]
    pub trusted: Vec<TrustedKeySettings>,
    /// The permissions each calling service is granted.
    #[serde(default)]
    pub grants: Grants,
}

/// One entry of the list of trusted keys.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedKeySettings {
    /// Whom the key speaks for: a service's name, or `gantry` for user tokens.
    pub issuer: String,
    /// What it may sign: `users` or `service`.
    pub issues: Issues,
    /// The public key, SubjectPublicKeyInfo PEM.
    pub key_file: PathBuf,
}

impl Settings {
    /// Signs for `service` with the configured key.
    ///
    /// # Errors
    /// [`KeyError`] where the key file is missing or no key.
    pub fn signer(&self, service: &str) -> Result<ServiceSigner, KeyError> {
        Ok(ServiceSigner::new(service, SigningKey::load(&self.key_file)?))
    }

    /// Checks the tokens that callers of `service` bring.
    ///
    /// # Errors
    /// [`KeyError`] where a trusted key's file is missing or no key.
    pub fn verifier(&self, service: &str) -> Result<Verifier, KeyError> {
        let load = |entry: &TrustedKeySettings| {
            Ok(TrustedKey {
                issuer: entry.issuer.clone(),
                issues: entry.issues,
                key: PublicKey::load(&entry.key_file)?,
            })
        };
        let trusted = self.trusted.iter().map(load).collect::<Result<_, _>>()?;
        Ok(Verifier::new(service, trusted))
    }
}
