//! Reads certificates and keys (PEM) and detects changes.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use gantry_files::pem::{self, Block};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
    },
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

/// Error of an unusable setting. Contains nothing from a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{key}: {why}")]
pub struct InvalidTls {
    /// Key of the setting, within its section.
    pub key: &'static str,
    /// Reason why the value cannot be used.
    pub why: String,
}

/// Returns the DNS names of a certificate (RFC 5280, section 4.2.1.6). Empty if it has none or
/// cannot be parsed.
pub fn dns_names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    });
    dns.collect()
}

/// Path of a file, and the key of its setting.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    key: &'static str,
    path: PathBuf,
}

/// Files of one side of the connection: its trusted authorities, its certificate and its key.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) authorities: Option<Named>,
    pub(crate) identity: Option<(Named, Named)>,
}

/// Contents of the files at one moment. Has no `Debug`, because one file is a private key.
#[derive(Hash)]
pub(crate) struct Contents {
    pub(crate) authorities: Option<Pem>,
    pub(crate) identity: Option<(Pem, Pem)>,
}

/// Fingerprint of the contents of the files, or of the error while reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(pub(crate) u64);

impl Mark {
    pub(crate) fn of(read: &Result<Contents, InvalidTls>) -> Self {
        // A collision of two 64-bit fingerprints is too unlikely to matter.
        let mut hasher = DefaultHasher::new();
        read.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// Formats the paths for a log line.
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
    /// Reads the files. Fails if another user can change the authorities' file, because it decides
    /// which certificates are trusted.
    pub(crate) fn read(&self) -> Result<Contents, InvalidTls> {
        let authorities = self.authorities.as_ref();
        let authorities =
            authorities.map(|named| named.read(gantry_files::read_trusted)).transpose()?;
        let read = |named: &Named| named.read(gantry_files::read_text);
        let identity = match &self.identity {
            Some((chain, key)) => Some((read(chain)?, read(key)?)),
            None => None,
        };
        Ok(Contents { authorities, identity })
    }

    /// Checks the permissions of the private key. Called once per load, because it may log a
    /// warning.
    pub(crate) fn inspect_secret(&self) -> Result<(), InvalidTls> {
        let Some((_, key)) = &self.identity else { return Ok(()) };
        gantry_files::inspect_secret(&key.path).map_err(|error| key.invalid(&error))
    }
}

impl Contents {
    /// Returns the earliest expiry of the side's own certificates, in seconds since 1970.
    pub(crate) fn expires_at(&self) -> Option<i64> {
        let (chain, _) = self.identity.as_ref()?;
        let certificates = chain.certificates().ok()?;
        let ends = certificates.iter().filter_map(|certificate| {
            // A certificate that does not parse was rejected when it was loaded.
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

    fn read(&self, read: impl FnOnce(&Path) -> io::Result<String>) -> Result<Pem, InvalidTls> {
        let text = read(&self.path).map_err(|error| self.invalid(&error))?;
        Ok(Pem { named: self.clone(), text })
    }

    fn invalid(&self, why: &dyn fmt::Display) -> InvalidTls {
        InvalidTls { key: self.key, why: format!("{}: {why}", self.path.display()) }
    }
}

pub(crate) struct Pem {
    named: Named,
    text: String,
}

impl Hash for Pem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Pem {
    /// Returns the certificate, followed by its intermediate certificates.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
        self.each_certificate(|_| Ok(()))
    }

    pub(crate) fn roots(&self) -> Result<RootCertStore, InvalidTls> {
        let mut roots = RootCertStore::empty();
        self.each_certificate(|certificate| {
            roots.add(certificate.clone()).map_err(|error| error.to_string())
        })?;
        Ok(roots)
    }

    /// Returns all certificates after `check` has accepted each. An error names the certificate by
    /// its position in the file.
    fn each_certificate(
        &self,
        mut check: impl FnMut(&CertificateDer<'static>) -> Result<(), String>,
    ) -> Result<Vec<CertificateDer<'static>>, InvalidTls> {
        let blocks = self.blocks()?;
        let found = pem::labels(&blocks);
        // Old versions of OpenSSL write the second label.
        let is_certificate =
            |block: &Block| ["CERTIFICATE", "X509 CERTIFICATE"].contains(&block.label.as_str());
        let blocks: Vec<_> = blocks.into_iter().filter(is_certificate).collect();
        if blocks.is_empty() {
            return Err(self.named.invalid(&format_args!("holds no certificate, found {found}")));
        }
        let all = blocks.len();
        let certificates = (1..).zip(blocks).map(|(number, Block { line, der, .. })| {
            let certificate = CertificateDer::from(der);
            match well_formed(&certificate).and_then(|()| check(&certificate)) {
                Ok(()) => Ok(certificate),
                Err(why) => Err(self
                    .named
                    .invalid(&format_args!("certificate {number} of {all}, line {line}: {why}"))),
            }
        });
        certificates.collect()
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, InvalidTls> {
        let blocks = self.blocks()?;
        let found = pem::labels(&blocks);
        let mut keys = blocks.into_iter().filter_map(|Block { label, der, .. }| {
            Some(match label.as_str() {
                "PRIVATE KEY" => PrivatePkcs8KeyDer::from(der).into(),
                "RSA PRIVATE KEY" => PrivatePkcs1KeyDer::from(der).into(),
                "EC PRIVATE KEY" => PrivateSec1KeyDer::from(der).into(),
                _ => return None,
            })
        });
        match (keys.next(), keys.next()) {
            (Some(key), None) => Ok(key),
            (Some(_), Some(_)) => Err(self.named.invalid(&"holds more than one private key")),
            (None, _) => Err(self.named.invalid(&format_args!(
                "holds no private key (PEM, not encrypted), found {found}"
            ))),
        }
    }

    fn blocks(&self) -> Result<Vec<Block>, InvalidTls> {
        pem::blocks(&self.text).map_err(|error| self.named.invalid(&error))
    }

    /// Returns the error for well-formed files that rustls rejects.
    pub(crate) fn unsuited(&self, error: &rustls::Error) -> InvalidTls {
        self.named.invalid(error)
    }
}

fn well_formed(certificate: &CertificateDer<'_>) -> Result<(), String> {
    match parse_x509_certificate(certificate) {
        Ok(([], _)) => Ok(()),
        Ok(_) => Err("there are bytes after the certificate".to_owned()),
        Err(_) => Err("it is not an X.509 certificate".to_owned()),
    }
}
