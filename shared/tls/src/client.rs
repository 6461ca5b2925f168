//! The side that calls.

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

/// The `client.tls` section of a service's configuration: given, the client speaks TLS
/// and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ClientTls {
    /// The authorities (PEM) that may vouch for servers.
    #[setters(into)]
    pub ca_file: PathBuf,
    /// Its own certificate (PEM, with those between it and the authority), where servers
    /// ask for one.
    #[serde(default)]
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// The private key (PEM) of `cert_file`.
    #[serde(default)]
    #[setters(into)]
    pub key_file: Option<PathBuf>,
    /// The name that servers' certificates must bear. Default: the name of the service
    /// that is called.
    #[serde(default)]
    #[setters(into)]
    pub server_name: Option<String>,
    /// How often the files are looked at for a change. Default 10 s, at least 10 ms.
    #[serde(default = "crate::reload_interval", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reload_interval: Duration,
}

impl ClientTls {
    /// Believes these authorities, and says of itself nothing.
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

    /// The name that the certificates of the service's servers must bear.
    ///
    /// # Errors
    /// [`InvalidTls`] where it cannot be in a certificate.
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
        return Err(InvalidTls { key: "ca_file", why: "is needed".to_owned() });
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
    // A resumed session would not look at the server's certificate again.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn alone(missing: &'static str, given: &str) -> InvalidTls {
    InvalidTls { key: missing, why: format!("is needed beside {given}") }
}
