//! ACL token, read from its file for each request.

use std::{fmt, io, path::PathBuf};

use http::HeaderValue;
use tokio::task::spawn_blocking;

/// Location of the token. Does not contain the token, so its `Debug` is safe.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
}

/// An unusable token file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(super) struct TokenError {
    path: PathBuf,
    why: String,
}

impl TokenFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads the token into a sensitive header, on a blocking thread.
    pub(super) async fn read(&self) -> Result<HeaderValue, TokenError> {
        let path = self.path.clone();
        // If the runtime shuts down, nothing awaits the result.
        let text = spawn_blocking(move || gantry_files::read_text(&path)).await;
        let text = text.unwrap_or_else(|cancelled| Err(io::Error::other(cancelled)));
        self.header(text.map_err(|error| error.to_string()))
    }

    /// Reads the token at the start of a process. Also checks the permissions of the file.
    pub(super) fn read_blocking(&self) -> Result<HeaderValue, TokenError> {
        self.header(gantry_files::read_secret(&self.path).map_err(|error| error.to_string()))
    }

    fn header(&self, text: Result<String, String>) -> Result<HeaderValue, TokenError> {
        let token = text.and_then(|text| {
            let token = text.trim();
            if token.is_empty() {
                return Err("holds no token".to_owned());
            }
            HeaderValue::from_str(token).map_err(|_| "holds more than one token".to_owned())
        });
        let failed = |why| TokenError { path: self.path.clone(), why };
        token
            .map(|mut header| {
                header.set_sensitive(true);
                header
            })
            .map_err(failed)
    }
}

impl fmt::Display for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn reading(content: &str) -> Result<HeaderValue, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, content).unwrap();
        TokenFile::new(path).read_blocking().map_err(|error| error.why)
    }

    #[test]
    fn a_token_is_trimmed_and_its_debug_is_hidden() {
        let token = reading("secret\n").unwrap();
        for text in ["\u{feff}secret", "secret\r\n", " secret "] {
            assert_eq!(reading(text).unwrap(), token, "{text:?}");
        }
        assert_eq!(token, "secret");
        assert_eq!(format!("{token:?}"), "Sensitive");
    }

    #[test]
    fn a_file_without_exactly_one_token_is_rejected() {
        assert_eq!(reading(" \n").unwrap_err(), "holds no token");
        assert_eq!(reading("secret\nother").unwrap_err(), "holds more than one token");
    }
}
