//! Errors of key files.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Reason why a key cannot be used. Contains nothing from a file.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing or unreadable, or another user can write to it.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("cannot write the key file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The file exists but has other content.
    #[error("{} does not hold {expected}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Expected content.
        expected: &'static str,
        /// Difference from the expected content. Does not quote the file.
        why: String,
    },
    /// A trusted issuer has no key.
    #[error("the trusted issuer {issuer} has neither key_file nor jwks")]
    NoKey {
        /// The issuer.
        issuer: String,
    },
    /// This process has no connection to the service that publishes the keys.
    #[error("this process cannot fetch the published keys of {service}")]
    NoSource {
        /// Service that publishes the keys.
        service: String,
    },
}

impl KeyError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Write { path, source }
    }
}
