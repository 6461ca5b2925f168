//! Whom the agent has to be, and who we are to it.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

use super::settings::InvalidSettings;

/// The keys of the settings that concern TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a> {
    pub(super) ca: Option<&'a Path>,
    pub(super) cert: Option<&'a Path>,
    pub(super) key: Option<&'a Path>,
}

impl Files<'_> {
    /// The first key that is set.
    pub(super) fn any(&self) -> Option<&'static str> {
        [("ca_file", self.ca), ("cert_file", self.cert), ("key_file", self.key)]
            .into_iter()
            .find_map(|(key, path)| path.map(|_| key))
    }

    /// Reads them: a wrong one is found at the start, not at the first request.
    pub(super) fn configuration(&self) -> Result<ClientConfig, InvalidSettings> {
        let Some(ca) = self.ca else {
            return Err(alone("ca_file", "an https:// url"));
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("ca_file", ca)? {
            roots.add(certificate).map_err(|error| invalid("ca_file", ca, &error))?;
        }
        let identity = match (self.cert, self.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let chain = certificates("cert_file", cert)?;
                let key = PrivateKeyDer::from_pem_file(key)
                    .map_err(|error| invalid("key_file", key, &error))?;
                Some((chain, key))
            }
            (Some(_), None) => return Err(alone("key_file", "cert_file")),
            (None, Some(_)) => return Err(alone("cert_file", "key_file")),
        };
        let builder = builder()?.with_root_certificates(roots);
        match identity {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => {
                builder.with_client_auth_cert(chain, key).map_err(|error| InvalidSettings {
                    key: "cert_file",
                    why: format!("does not suit key_file: {error}"),
                })
            }
        }
    }
}

/// For an agent without TLS.
pub(super) fn unused() -> Result<ClientConfig, InvalidSettings> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// The provider is named here, so that it depends on no other part of the process.
fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, InvalidSettings> {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| InvalidSettings { key: "url", why: error.to_string() })
}

fn certificates(
    key: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, InvalidSettings> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| invalid(key, path, &error))?;
    if certificates.is_empty() {
        let why = format!("{}: holds no certificate", path.display());
        return Err(InvalidSettings { key, why });
    }
    Ok(certificates)
}

fn invalid(key: &'static str, path: &Path, error: &dyn std::fmt::Display) -> InvalidSettings {
    InvalidSettings { key, why: format!("{}: {error}", path.display()) }
}

fn alone(missing: &'static str, given: &str) -> InvalidSettings {
    InvalidSettings { key: missing, why: format!("is needed beside {given}") }
}
