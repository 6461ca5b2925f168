//! Reading certificates and keys (PEM), and telling whether they changed.

use std::{
    fmt, fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use x509_parser::parse_x509_certificate;

/// A key of the settings that cannot be used. Never holds what a file contains.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidTls {
    /// The key, within the section.
    pub key: &'static str,
    /// What is wrong with it.
    pub why: String,
}

/// A file, and the key of the settings that names it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    key: &'static str,
    path: PathBuf,
}

/// Whom a side believes, and who it is.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) authorities: Option<Named>,
    pub(crate) identity: Option<(Named, Named)>,
}

/// What the files held at one moment. `Debug` does not show it.
#[derive(Hash)]
pub(crate) struct Contents {
    pub(crate) authorities: Option<Pem>,
    pub(crate) identity: Option<(Pem, Pem)>,
}

/// Tells one state of the files from another, the unreadable ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    pub(crate) fn of(read: &Result<Contents, InvalidTls>) -> Self {
        // Of 64 bits: that two states have the same is left to chance, which will not do it.
        let mut hasher = DefaultHasher::new();
        read.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// As a log line names them.
impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = self.identity.iter().flat_map(|(chain, key)| [chain, key]);
        for (number, Named { path, .. }) in self.authorities.iter().chain(identity).enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            write!(f, "{comma}{}", path.display())?;
        }
        Ok(())
    }
}

impl Files {
    pub(crate) fn read(&self) -> Result<Contents, InvalidTls> {
        let authorities = self.authorities.as_ref().map(Named::read).transpose()?;
        let identity = match &self.identity {
            Some((chain, key)) => Some((chain.read()?, key.read()?)),
            None => None,
        };
        Ok(Contents { authorities, identity })
    }
}

impl Contents {
    /// When the first of the certificates that say who we are ends, in seconds since 1970.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let (chain, _) = self.identity.as_ref()?;
        let certificates = chain.certificates().ok()?;
        let ends = certificates.iter().filter_map(|certificate| {
            // What cannot be read here was refused before, as no certificate.
            let (_, certificate) = parse_x509_certificate(certificate).ok()?;
            Some(certificate.validity().not_after.timestamp())
        });
        ends.min()
    }
}

impl Named {
    pub(crate) fn new(key: &'static str, path: &Path) -> Self {
        Self { key, path: path.to_owned() }
    }

    fn read(&self) -> Result<Pem, InvalidTls> {
        let bytes = fs::read(&self.path).map_err(|error| self.invalid(&error))?;
        Ok(Pem { named: self.clone(), bytes })
    }

    fn invalid(&self, why: &dyn fmt::Display) -> InvalidTls {
        InvalidTls { key: self.key, why: format!("{}: {why}", self.path.display()) }
    }
}

/// The text of a file.
pub(crate) struct Pem {
    named: Named,
    bytes: Vec<u8>,
}

impl Hash for Pem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl Pem {
    /// A certificate with those that vouch for it.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&self.bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| self.named.invalid(&error))?;
        if certificates.is_empty() {
            return Err(self.named.invalid(&"holds no certificate"));
        }
        Ok(certificates)
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, InvalidTls> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).map_err(|error| self.named.invalid(&error))?;
        }
        Ok(roots)
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, InvalidTls> {
        // What is wrong with a private key is said without a byte of it.
        PrivateKeyDer::from_pem_slice(&self.bytes)
            .map_err(|_| self.named.invalid(&"holds no private key (PEM)"))
    }

    /// The files are well-formed, and do not make a configuration.
    pub(crate) fn unsuited(&self, error: &rustls::Error) -> InvalidTls {
        self.named.invalid(error)
    }
}
