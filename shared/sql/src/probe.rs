//! Readiness of the storage: that it can be written to, and not only read.
//!
//! A full disk, a file system that became read-only and a removed folder all let queries pass. A
//! probe is a write of its own, at most once in [`RECHECK`], and none at all while calls write:
//! their success in the last [`FRESH`] is proof enough.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::Sqlite;

/// Time for which a probe's answer is reused.
const RECHECK: Duration = Duration::from_secs(1);
/// Time for which a committed write proves that the storage can be written to.
const FRESH: Duration = Duration::from_secs(5);

/// Number in the file's header that is nobody's: migrations have a table of their own.
const READ: &str = "PRAGMA user_version";

/// Why nothing can be written, in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ProbeError(Arc<str>);

/// Time and result of a probe.
type LastProbe = (Instant, Result<(), ProbeError>);

/// Knowledge of the storage. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    committed: Arc<Mutex<Option<Instant>>>,
    last: Arc<tokio::sync::Mutex<Option<LastProbe>>>,
}

impl Probe {
    /// Notes that a write was committed, or that one failed.
    pub(crate) fn wrote(&self, committed: bool) {
        let now = committed.then(Instant::now);
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }

    fn is_fresh(&self) -> bool {
        let committed = *self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.is_some_and(|at| at.elapsed() < FRESH)
    }
}

impl Sqlite {
    /// Checks that a write can be made: the files are those that were opened, the disk has room,
    /// and its header can be written. For a readiness check; cheap enough to be asked at any rate.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn probe(&self) -> Result<(), ProbeError> {
        // Whoever asks meanwhile waits for the same answer.
        let mut last = self.probe.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < RECHECK
        {
            return answer.clone();
        }
        let answer = self.check_storage().await.map_err(|why| ProbeError(why.into()));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn check_storage(&self) -> Result<(), String> {
        let files = self.files.clone();
        let looked = move || files.present().and_then(|()| files.has_room());
        match tokio::task::spawn_blocking(looked).await {
            Ok(looked) => looked.map_err(|trouble| trouble.to_string())?,
            Err(cancelled) => return Err(cancelled.to_string()),
        }
        if self.probe.is_fresh() {
            return Ok(());
        }
        let written: Result<_, sqlx::Error> = self
            .write(|conn| {
                Box::pin(async move {
                    let now: i64 = sqlx::query_scalar(READ).fetch_one(&mut *conn).await?;
                    let other = match now {
                        0 => "PRAGMA user_version = 1",
                        _ => "PRAGMA user_version = 0",
                    };
                    sqlx::query(other).execute(conn).await
                })
            })
            .await;
        written.map(drop).map_err(|error| format!("nothing can be written: {error}"))
    }
}
