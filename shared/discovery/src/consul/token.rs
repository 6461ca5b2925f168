//! The ACL token, read from its file each time it is needed.

use std::{fmt, io, path::PathBuf};

use http::HeaderValue;
use tokio::task::spawn_blocking;

/// Where the token stands. Holds no token itself, so that showing it shows none.
#[derive(Clone, Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
}

/// A token file that gives no token.
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

    /// The token as a header that hides itself, off the async threads.
    pub(super) async fn read(&self) -> Result<HeaderValue, TokenError> {
        let path = self.path.clone();
        // A task that the runtime's end cancels has nobody to answer.
        let text = spawn_blocking(move || gantry_files::read_text(&path)).await;
        let text = text.unwrap_or_else(|cancelled| Err(io::Error::other(cancelled)));
        self.header(text.map_err(|error| error.to_string()))
    }

    /// The same, for the start of a process, with the rules of a secret.
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
    fn a_token_is_read_without_the_line_end_and_does_not_show_itself() {
        let token = reading("secret\n").unwrap();
        for text in ["\u{feff}secret", "secret\r\n", " secret "] {
            assert_eq!(reading(text).unwrap(), token, "{text:?}");
        }
        assert_eq!(token, "secret");
        assert_eq!(format!("{token:?}"), "Sensitive");
    }

    #[test]
    fn a_file_without_one_token_is_refused_without_repeating_it() {
        assert_eq!(reading(" \n").unwrap_err(), "holds no token");
        assert_eq!(reading("secret\nother").unwrap_err(), "holds more than one token");
    }
}
