//! Published keys in a file, for a restart while their publisher is away.
//!
//! - Public keys only, and yet a file that others wrote or could write to is not believed:
//!   whoever writes it decides who is a user.
//! - Keys older than a day are not taken up: no token that was valid when they were fetched
//!   is valid any more, and a key may have been withdrawn since.
//! - Whatever is wrong with the file is a warning, and as if there were none.

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

/// How old keys may be that are taken up.
const LONGEST: Duration = Duration::DAY;

/// By how much the clock may have been set back since.
const AHEAD: Duration = Duration::MINUTE;

/// More than any list of keys has, in bytes.
const SIZE: u64 = 64 * 1024;

/// A file with published keys.
#[derive(Debug)]
pub(crate) struct Kept {
    file: Arc<PathBuf>,
    /// Whether it could not be written last time.
    failed: AtomicBool,
}

/// What it holds: a JWK set (RFC 7517, section 5), and its age.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// In seconds since 1970.
    fetched_at: i64,
    keys: Vec<Jwk>,
}

impl Kept {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file: Arc::new(file), failed: AtomicBool::new(false) }
    }

    /// The keys and when they were fetched, where there are any to be believed.
    pub(crate) fn load(&self) -> Option<(Vec<PublicKey>, OffsetDateTime)> {
        match self.read(OffsetDateTime::now_utc()) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                let file = self.file.display();
                tracing::warn!(%file, %error, "kept keys not taken up");
                None
            }
        }
    }

    fn read(&self, now: OffsetDateTime) -> io::Result<(Vec<PublicKey>, OffsetDateTime)> {
        let text = gantry_files::read_own(&self.file, SIZE)?;
        let Content { fetched_at, keys } = serde_json::from_str(&text)?;
        let fetched_at =
            OffsetDateTime::from_unix_timestamp(fetched_at).map_err(io::Error::other)?;
        let age = now - fetched_at;
        if age > LONGEST || age < -AHEAD {
            return Err(io::Error::other(format!("they were fetched at {fetched_at}")));
        }
        let keys: Option<Vec<_>> = keys.iter().map(Jwk::public_key).collect();
        let keys = keys.filter(|keys| !keys.is_empty());
        Ok((keys.ok_or_else(|| io::Error::other("not all are Ed25519 keys"))?, fetched_at))
    }

    /// Replaces what the file holds; where that fails, warns once.
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
        // That the runtime ends is no news.
        let Ok(written) = spawn_blocking(write).await else { return };
        let failed_before = self.failed.swap(written.is_err(), Ordering::Relaxed);
        if let Err(error) = written
            && !failed_before
        {
            let file = self.file.display();
            tracing::warn!(%file, %error, "published keys not kept for a restart");
        }
    }
}
