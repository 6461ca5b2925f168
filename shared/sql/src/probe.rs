//! Readiness of the storage for writes.
//!
//! A full disk, a file system that became read-only and a removed folder all let queries pass. So a
//! probe of SQLite is a write of its own, and one of PostgreSQL looks for a server that takes writes:
//! at most once in [`RECHECK`], and not at all if a call wrote in the last [`FRESH`].

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Connection, Database,
    database::Engine,
    error::{cause, is_unavailable},
    sqlite::Sqlite,
};

/// Time for which a probe's answer is reused.
const RECHECK: Duration = Duration::from_secs(1);
/// Time for which a committed write proves that the storage can be written to.
const FRESH: Duration = Duration::from_secs(5);

/// Number in the header of a SQLite file that is nobody's: migrations have a table of their own.
const READ: &str = "PRAGMA user_version";
/// A server that recovers, and a replica, take no writes.
const WRITABLE: &str =
    "SELECT NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'";

/// Reason for which nothing can be written.
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

    /// Notes that a write could not begin. An earlier write then proves nothing, unless this one was
    /// merely refused: a full pool, for example, says nothing about the server.
    pub(crate) fn failed(&self, error: &sqlx::Error) {
        if is_unavailable(error) {
            self.wrote(false);
        }
    }

    fn is_fresh(&self) -> bool {
        let committed = *self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        committed.is_some_and(|at| at.elapsed() < FRESH)
    }
}

impl Database {
    /// Checks that a write can be made. For a readiness check; cheap enough to be called at any rate.
    ///
    /// A SQLite file is the one that was opened, its disk has room, and its header can be written. A
    /// PostgreSQL server answers and takes writes.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn probe(&self) -> Result<(), ProbeError> {
        // Callers that come meanwhile wait for the same answer.
        let mut last = self.probe.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < RECHECK
        {
            return answer.clone();
        }
        let answer = self.check().await.map_err(|why| ProbeError(why.into()));
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    async fn check(&self) -> Result<(), String> {
        if let Engine::Sqlite(sqlite) = &self.engine {
            check_files(sqlite).await?;
        }
        if self.probe.is_fresh() {
            return Ok(());
        }
        let written: Result<bool, sqlx::Error> = match self.engine {
            Engine::Sqlite(_) => self.write((), |conn, ()| Box::pin(write_header(conn))).await,
            Engine::Postgres(_) => self.is_writable().await,
        };
        match written {
            Ok(true) => Ok(()),
            Ok(false) => Err("nothing can be written: the server is a replica".to_owned()),
            Err(error) => Err(format!("nothing can be written: {}", cause(error))),
        }
    }

    async fn is_writable(&self) -> Result<bool, sqlx::Error> {
        let look = self.write_locked((), |conn, ()| Box::pin(conn.query(WRITABLE).fetch_value()));
        let writable = look.await;
        // The COMMIT of a unit that wrote nothing proves nothing.
        self.probe.wrote(false);
        writable
    }
}

async fn check_files(sqlite: &Sqlite) -> Result<(), String> {
    let files = sqlite.files.clone();
    let looked = move || files.present().and_then(|()| files.has_room());
    match tokio::task::spawn_blocking(looked).await {
        Ok(looked) => looked.map_err(|trouble| trouble.to_string()),
        Err(cancelled) => Err(cancelled.to_string()),
    }
}

async fn write_header(conn: &mut Connection) -> Result<bool, sqlx::Error> {
    let now: i64 = conn.query(READ).fetch_value().await?;
    let other = match now {
        0 => "PRAGMA user_version = 1",
        _ => "PRAGMA user_version = 0",
    };
    conn.query(other).execute().await?;
    Ok(true)
}
