//! Key files that cannot be used.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why a key file could not be used. Never holds what the file contains.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is missing, unreadable, or others can write to it.
    #[error("cannot read the key file {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file could not be made.
    #[error("cannot write the key file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is there, and is something else.
    #[error("{} does not hold {expected}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it, without its content.
        why: String,
    },
    /// An issuer is to be believed, and no key of its is named.
    #[error("the trusted issuer {issuer} has neither key_file nor jwks")]
    NoKey {
        /// The issuer.
        issuer: String,
    },
    /// Keys are to be fetched from a service that this process cannot fetch them from.
    #[error("the published keys of {service} cannot be fetched from here")]
    NoSource {
        /// The service.
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
