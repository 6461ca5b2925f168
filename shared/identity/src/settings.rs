//! Settings of a service's identity.

use std::{collections::BTreeSet, path::PathBuf};

use derive_setters::Setters;
use gantry_contract::{Contract, access::Grants};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    Issues, KeyError, KeySource, PublicKey, PublishedKeys, ServiceSigner, SigningKey, TrustedKey,
    Verifier,
};

/// Identity of a service: its own key, the keys that it trusts, and the grants of calling services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct Settings {
    /// The service's private key, PKCS#8 PEM. Must exist.
    #[setters(into)]
    pub key_file: PathBuf,
    /// Trusted keys and their issuers.
    #[serde(default)]
    pub trusted: Vec<TrustedKeySettings>,
    /// Permissions granted to each calling service.
    #[serde(default)]
    pub grants: Grants,
    /// Folder in which fetched keys are cached for a day, so that a restart rejects no user while
    /// the publisher is down. Default: no cache.
    #[serde(default)]
    #[setters(into)]
    pub jwks_cache_dir: Option<PathBuf>,
}

/// A trusted issuer. Its keys come from a file, from the service that publishes them, or both.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct TrustedKeySettings {
    /// Issuer: a service's name, or `gantry` for user tokens.
    #[setters(into)]
    pub issuer: String,
    /// Kind of its tokens: `users` or `service`.
    pub issues: Issues,
    /// Public key, SubjectPublicKeyInfo PEM.
    #[serde(default)]
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// Service that publishes the keys. They are fetched from it and refreshed.
    #[serde(default)]
    #[setters(into)]
    pub jwks: Option<String>,
    /// Allows `jwks` to be fetched without TLS from another machine. Anyone who intercepts the
    /// fetch could then forge user tokens. Default: false.
    #[serde(default)]
    pub allow_plaintext: bool,
}

/// An unusable setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// Key of the setting, within the section of the identity.
    pub key: String,
    /// Expected value.
    pub expected: String,
}

impl TrustedKeySettings {
    /// Returns settings that trust `issuer` to issue tokens of this kind. Set its keys with the
    /// setters.
    pub fn new(issuer: impl Into<String>, issues: Issues) -> Self {
        Self { issuer: issuer.into(), issues, key_file: None, jwks: None, allow_plaintext: false }
    }

    fn has_no_key(&self) -> bool {
        self.key_file.is_none() && self.jwks.is_none()
    }
}

impl Settings {
    /// Returns all unusable settings, including permissions that the contract does not have. Does
    /// not read the files.
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

    /// Returns a signer for `service` with the configured key.
    ///
    /// # Errors
    /// [`KeyError`] if the key file is missing or has other content.
    pub fn signer(&self, service: &str) -> Result<ServiceSigner, KeyError> {
        Ok(ServiceSigner::new(service, SigningKey::load(&self.key_file)?))
    }

    /// Returns the services that publish trusted keys, each once.
    pub fn publishers(&self) -> BTreeSet<&str> {
        self.trusted.iter().filter_map(|entry| entry.jwks.as_deref()).collect()
    }

    /// Returns a verifier for the callers of `service`. `source` returns the key source of a
    /// publishing service, or None if this process cannot reach it.
    ///
    /// # Errors
    /// [`KeyError`] if a key file is missing or has other content, an issuer has no key, or a
    /// publishing service has no source.
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
