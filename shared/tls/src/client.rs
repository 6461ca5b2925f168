//! TLS settings of a client.

use std::{path::PathBuf, time::Duration};

use derive_setters::Setters;
use rustls::{ClientConfig, client::Resumption, pki_types::ServerName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    H2, check_interval,
    files::{Contents, Files, InvalidTls, Named},
    live::Live,
    provider, versions,
};

/// Section `client.tls` of a service's settings. If it is present, the client speaks only TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ClientTls {
    /// Certificate authorities (PEM) that are trusted to issue servers' certificates.
    #[setters(into)]
    pub ca_file: PathBuf,
    /// The client's certificate and its intermediate certificates (PEM), for servers that require
    /// one.
    #[serde(default)]
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of `cert_file`.
    #[serde(default)]
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// Name that a server's certificate must contain. Default: the name of the called service.
    #[serde(default)]
    #[setters(into)]
    pub server_name: Option<String>,
    /// Interval between checks of the files. Default 10 s, at least 10 ms.
    #[serde(default = "crate::reload_interval", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reload_interval: Duration,
}

impl ClientTls {
    /// Returns settings that trust the authorities in `ca_file` and present no certificate.
    pub fn trusting(ca_file: impl Into<PathBuf>) -> Self {
        Self {
            ca_file: ca_file.into(),
            cert_file: None,
            key_file: None,
            server_name: None,
            reload_interval: crate::reload_interval(),
        }
    }

    /// Loads the files.
    ///
    /// # Errors
    /// [`InvalidTls`] naming the key that is wrong.
    pub fn load(&self) -> Result<Live<ClientConfig>, InvalidTls> {
        check_interval(self.reload_interval)?;
        let identity = match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => {
                Some((Named::new("cert_file", cert), Named::new("key_file", key)))
            }
            (None, None) => None,
            (Some(_), None) => return Err(alone("key_file", "cert_file")),
            (None, Some(_)) => return Err(alone("cert_file", "key_file")),
        };
        let files = Files { authorities: Some(Named::new("ca_file", &self.ca_file)), identity };
        Live::load(files, self.reload_interval, build)
    }

    /// Returns the name that the certificates of the servers of `service` must contain.
    ///
    /// # Errors
    /// [`InvalidTls`] if no certificate can contain the name.
    pub fn certificate_name(&self, service: &str) -> Result<ServerName<'static>, InvalidTls> {
        let name = self.server_name.as_deref().unwrap_or(service);
        ServerName::try_from(name.to_owned()).map_err(|_| InvalidTls {
            key: "server_name",
            why: format!("{name:?} cannot be the name in a certificate"),
        })
    }
}

fn build(contents: &Contents) -> Result<ClientConfig, InvalidTls> {
    let Some(authorities) = &contents.authorities else {
        return Err(InvalidTls { key: "ca_file", why: "is required".to_owned() });
    };
    let builder = versions(ClientConfig::builder_with_provider(provider()))?
        .with_root_certificates(authorities.roots()?);
    let mut config = match &contents.identity {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain.certificates()?, key.private_key()?)
            .map_err(|error| chain.unsuited(&error))?,
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![H2.to_vec()];
    // A resumed session would skip the check of the server's certificate.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn alone(missing: &'static str, given: &str) -> InvalidTls {
    InvalidTls { key: missing, why: format!("is required with {given}") }
}
