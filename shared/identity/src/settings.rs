//! How an identity is configured.

use std::{collections::BTreeSet, path::PathBuf};

use derive_setters::Setters;
use gantry_contract::{Contract, access::Grants};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Issues, KeyError, KeySource, PublicKey, PublishedKeys, ServiceSigner, SigningKey, TrustedKey,
    Verifier,
};

/// A service's identity: its own key, the keys it believes, and what calling
/// services may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// The service's private key, PKCS#8 PEM. It must exist.
    #[setters(into)]
    pub key_file: PathBuf,
    /// Whose tokens are believed.
    #[serde(default)]
    pub trusted: Vec<TrustedKeySettings>,
    /// The permissions each calling service is granted.
    #[serde(default)]
    pub grants: Grants,
    /// The folder in which the keys that others publish are kept for a day, so that a restart
    /// while their publisher is away turns no user away. Not given: they are not.
    #[serde(default)]
    #[setters(into)]
    pub jwks_cache_dir: Option<PathBuf>,
}

/// One entry of the list of trusted keys: a file, or a service that publishes them, or both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct TrustedKeySettings {
    /// Whom the key speaks for: a service's name, or `gantry` for user tokens.
    #[setters(into)]
    pub issuer: String,
    /// What it may sign: `users` or `service`.
    pub issues: Issues,
    /// The public key, SubjectPublicKeyInfo PEM.
    #[serde(default)]
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// The service that publishes the keys; those are fetched from it, and followed.
    #[serde(default)]
    #[setters(into)]
    pub jwks: Option<String>,
    /// Lets `jwks` be fetched without TLS from another machine, where whoever answers decides who
    /// is a user. Default: it is refused.
    #[serde(default)]
    pub allow_plaintext: bool,
}

/// A setting with a value that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The key, below those of the identity.
    pub key: String,
    /// What it should be.
    pub expected: String,
}

impl TrustedKeySettings {
    /// Believes `issuer` to issue such tokens, by keys that are still to be told.
    pub fn new(issuer: impl Into<String>, issues: Issues) -> Self {
        Self { issuer: issuer.into(), issues, key_file: None, jwks: None, allow_plaintext: false }
    }

    fn has_no_key(&self) -> bool {
        self.key_file.is_none() && self.jwks.is_none()
    }
}

impl Settings {
    /// Every setting that cannot be, or names what the contract does not have. The files are not
    /// looked at.
    pub fn problems(&self, contract: &Contract) -> Vec<InvalidSetting> {
        let without = self.trusted.iter().enumerate().filter(|(_, entry)| entry.has_no_key());
        let without = without.map(|(number, _)| InvalidSetting {
            key: format!("trusted.{number}"),
            expected: "key_file, jwks or both".to_owned(),
        });
        let unknown = contract.unknown_grants(&self.grants).map(|(service, permission)| {
            let known = contract.permissions.join(", ");
            InvalidSetting {
                key: format!("grants.{service}"),
                expected: format!("permissions of the contract ({known}), found {permission:?}"),
            }
        });
        without.chain(unknown).collect()
    }

    /// Signs for `service` with the configured key.
    ///
    /// # Errors
    /// [`KeyError`] where the key file is missing or no key.
    pub fn signer(&self, service: &str) -> Result<ServiceSigner, KeyError> {
        Ok(ServiceSigner::new(service, SigningKey::load(&self.key_file)?))
    }

    /// The services whose published keys are believed, each once.
    pub fn publishers(&self) -> BTreeSet<&str> {
        self.trusted.iter().filter_map(|entry| entry.jwks.as_deref()).collect()
    }

    /// Checks the tokens that callers of `service` bring. `source` gives the way to a
    /// service that publishes keys, where there is one.
    ///
    /// # Errors
    /// [`KeyError`] where a trusted key's file is missing or no key, an issuer has no key,
    /// or there is no way to who publishes it.
    pub fn verifier(
        &self,
        service: &str,
        source: impl Fn(&str) -> Option<KeySource>,
    ) -> Result<Verifier, KeyError> {
        let mut trusted = Vec::new();
        let mut published = Vec::new();
        for entry in &self.trusted {
            let TrustedKeySettings { issuer, issues, key_file, jwks, .. } = entry;
            if entry.has_no_key() {
                return Err(KeyError::NoKey { issuer: issuer.clone() });
            }
            if let Some(path) = key_file {
                let key = PublicKey::load(path)?;
                trusted.push(TrustedKey { issuer: issuer.clone(), issues: *issues, key });
            }
            if let Some(publisher) = jwks {
                let source = source(publisher)
                    .ok_or_else(|| KeyError::NoSource { service: publisher.clone() })?;
                let keys = PublishedKeys::new(issuer, *issues, source);
                published.push(match &self.jwks_cache_dir {
                    Some(folder) => {
                        keys.kept_in(folder.join(format!("{service}.{publisher}.jwks")))
                    }
                    None => keys,
                });
            }
        }
        Ok(published.into_iter().fold(Verifier::new(service, trusted), Verifier::published))
    }
}
