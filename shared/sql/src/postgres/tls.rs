//! TLS to a PostgreSQL server.

use std::path::PathBuf;

use derive_setters::Setters;
use gantry_tls::{ClientTls, InvalidTls};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// Section `database.postgres.tls`. If it is present, every connection has TLS: the server must offer it
/// and present a certificate for the host of the URL, issued by an authority in `ca_file`.
///
/// The files are checked at the start and read again by each new connection.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema, Setters)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
#[setters(strip_option)]
pub struct TlsSettings {
    /// Certificate authorities (PEM) that are trusted to issue the server's certificate. No other
    /// authority is.
    #[setters(into)]
    pub ca_file: PathBuf,
    /// The client's certificate and its intermediate certificates (PEM), for a server that requires
    /// one.
    #[serde(default)]
    #[setters(into)]
    pub cert_file: Option<PathBuf>,
    /// Private key (PEM) of `cert_file`.
    #[serde(default)]
    #[setters(into)]
    pub key_file: Option<PathBuf>,
}

impl TlsSettings {
    /// Returns settings that trust the authorities in `ca_file` and present no certificate.
    pub fn trusting(ca_file: impl Into<PathBuf>) -> Self {
        Self { ca_file: ca_file.into(), cert_file: None, key_file: None }
    }

    /// Checks the files and adds them to the options of a connection.
    pub(super) fn on(&self, options: PgConnectOptions) -> Result<PgConnectOptions, InvalidTls> {
        let mut files = ClientTls::trusting(&self.ca_file);
        files.cert_file.clone_from(&self.cert_file);
        files.key_file.clone_from(&self.key_file);
        files.load()?;
        let options = options.ssl_mode(PgSslMode::VerifyFull).ssl_root_cert(&self.ca_file);
        Ok(match (&self.cert_file, &self.key_file) {
            (Some(cert), Some(key)) => options.ssl_client_cert(cert).ssl_client_key(key),
            // `load` has refused one without the other.
            _ => options,
        })
    }
}
