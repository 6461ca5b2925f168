//! TLS settings of a server.

use std::{path::PathBuf, sync::Arc, time::Duration};

use derive_setters::Setters;
use rustls::{
    ServerConfig,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    H2, check_interval,
    files::{Contents, Files, InvalidTls, Named},
    live::Live,
    provider, versions,
};

/// Section `server.tls` of a service's settings. If it is present, the server speaks only TLS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct ServerTls {
    /// The server's certificate and its intermediate certificates (PEM).
    #[setters(into)]
    pub cert_file: PathBuf,
    /// Private key (PEM) of `cert_file`.
    #[setters(into)]
    pub key_file: PathBuf,
    /// Certificate authorities (PEM) of callers. If set, a caller without a certificate from one of
    /// them is refused (mTLS).
    #[serde(default)]
    #[setters(into)]
    pub client_ca_file: Option<PathBuf>,
    /// Interval between checks of the files. Default 10 s, at least 10 ms.
    #[serde(default = "crate::reload_interval", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub reload_interval: Duration,
}

impl ServerTls {
    /// Returns settings that present this certificate and require none from clients.
    pub fn new(cert_file: impl Into<PathBuf>, key_file: impl Into<PathBuf>) -> Self {
        Self {
            cert_file: cert_file.into(),
            key_file: key_file.into(),
            client_ca_file: None,
            reload_interval: crate::reload_interval(),
        }
    }

    /// Loads the files.
    ///
    /// # Errors
    /// [`InvalidTls`] naming the key that is wrong.
    pub fn load(&self) -> Result<Live<ServerConfig>, InvalidTls> {
        check_interval(self.reload_interval)?;
        let files = Files {
            authorities: self.client_ca_file.as_deref().map(|ca| Named::new("client_ca_file", ca)),
            identity: self.identity(),
        };
        Live::load(files, self.reload_interval, build)
    }

    /// Returns the files of the server's certificate and its key.
    pub(crate) fn identity(&self) -> Option<(Named, Named)> {
        Some((Named::new("cert_file", &self.cert_file), Named::new("key_file", &self.key_file)))
    }
}

fn build(contents: &Contents) -> Result<ServerConfig, InvalidTls> {
    let builder = versions(ServerConfig::builder_with_provider(provider()))?;
    let builder = match &contents.authorities {
        Some(pem) => {
            let roots = Arc::new(pem.roots()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier
                .map_err(|error| pem.unsuited(&rustls::Error::General(error.to_string())))?;
            builder.with_client_cert_verifier(verifier)
        }
        None => builder.with_no_client_auth(),
    };
    let Some((chain, key)) = &contents.identity else {
        return Err(InvalidTls { key: "cert_file", why: "is required".to_owned() });
    };
    let mut config = builder
        .with_single_cert(chain.certificates()?, key.private_key()?)
        .map_err(|error| chain.unsuited(&error))?;
    config.alpn_protocols = vec![H2.to_vec()];
    // A resumed session would skip the check of the caller's certificate, which may have expired
    // since.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}
