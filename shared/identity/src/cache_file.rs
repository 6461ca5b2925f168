//! Cache file of published keys, for a restart while their publisher is down.
//!
//! - The file holds only public keys. It is still rejected if another user owns it or can write to
//!   it, because its writer could forge users' tokens.
//! - Keys older than a day are ignored. All tokens that were valid at the time of the fetch have
//!   expired by then, and a key may have been withdrawn since.
//! - Any other defect of the file is a warning, and the file is ignored.

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use gantry_files::Readers;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tokio::task::spawn_blocking;

use crate::{Jwk, PublicKey};

/// Maximum age of keys that are loaded.
const MAX_AGE: Duration = Duration::DAY;

/// Maximum time by which the fetch may be in the future, because the clock was set back.
const MAX_CLOCK_SKEW: Duration = Duration::MINUTE;

/// Maximum size of the file in bytes, far above any real key set.
const MAX_SIZE: u64 = 64 * 1024;

/// A file with published keys.
#[derive(Debug)]
pub(crate) struct CacheFile {
    file: Arc<PathBuf>,
    /// True if the last write failed.
    failed: AtomicBool,
}

/// Content of the file: a JWK set (RFC 7517, section 5) and the time of its fetch.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Time of the fetch, in seconds since 1970.
    fetched_at: i64,
    keys: Vec<Jwk>,
}

impl CacheFile {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file: Arc::new(file), failed: AtomicBool::new(false) }
    }

    /// Returns the keys and the time of their fetch, if the file exists and is trustworthy.
    pub(crate) fn load(&self) -> Option<(Vec<PublicKey>, OffsetDateTime)> {
        match self.read(OffsetDateTime::now_utc()) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let file = self.file.display();
                tracing::warn!(%file, %error, "cached keys ignored");
                None
            }
        }
    }

    fn read(&self, now: OffsetDateTime) -> io::Result<(Vec<PublicKey>, OffsetDateTime)> {
        let text = gantry_files::read_own(&self.file, MAX_SIZE)?;
        let Content { fetched_at, keys } = serde_json::from_str(&text)?;
        let fetched_at =
            OffsetDateTime::from_unix_timestamp(fetched_at).map_err(io::Error::other)?;
        let age = now - fetched_at;
        if age > MAX_AGE || age < -MAX_CLOCK_SKEW {
            return Err(io::Error::other(format!(
                "the keys were fetched at {fetched_at}: too old, or in the future"
            )));
        }
        let keys: Option<Vec<_>> = keys.iter().map(Jwk::public_key).collect();
        let keys = keys.filter(|keys| !keys.is_empty());
        Ok((keys.ok_or_else(|| io::Error::other("not all keys are Ed25519 keys"))?, fetched_at))
    }

    /// Replaces the content of the file. Warns at the first of several failures.
    pub(crate) async fn store(&self, keys: &[PublicKey], now: OffsetDateTime) {
        let content = Content {
            fetched_at: now.unix_timestamp(),
            keys: keys.iter().map(Jwk::from).collect(),
        };
        let file = Arc::clone(&self.file);
        let write = move || {
            if let Some(folder) = file.parent() {
                gantry_files::create_private_folders(folder)?;
            }
            gantry_files::replace(&file, &serde_json::to_vec(&content)?, Readers::Owner)
        };
        // An error here means that the runtime is shutting down.
        let Ok(written) = spawn_blocking(write).await else { return };
        let failed_before = self.failed.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !failed_before
        {
            let file = self.file.display();
            tracing::warn!(%file, %error, "published keys not cached for a restart");
        }
    }
}
