//! Client of a process that calls its own server.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use crate::{
    H2, ServerTls,
    files::{Files, InvalidTls},
    provider, versions,
};

impl ServerTls {
    /// Loads a client that calls this very server. It presents the server's own certificate, in case
    /// that callers need one, and accepts any certificate: the address decides that the server is our
    /// own, and after a renewal the server may still use the previous certificate.
    ///
    /// Send nothing secret with it.
    ///
    /// # Errors
    /// [`InvalidTls`] naming the key that is wrong.
    pub fn own_client(&self) -> Result<ClientConfig, InvalidTls> {
        let contents = Files { authorities: None, identity: self.identity() }.read()?;
        let Some((chain, key)) = &contents.identity else {
            return Err(InvalidTls { key: "cert_file", why: "is required".to_owned() });
        };
        let mut config = versions(ClientConfig::builder_with_provider(provider()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider())))
            .with_client_auth_cert(chain.certificates()?, key.private_key()?)
            .map_err(|error| chain.unsuited(&error))?;
        config.alpn_protocols = vec![H2.to_vec()];
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

/// Accepts every certificate whose key signs the handshake.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
