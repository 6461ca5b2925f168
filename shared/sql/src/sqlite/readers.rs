//! Connections that read.
//!
//! A statement wakes the connection's thread once. With sqlx's own pool each caller would wake it three
//! times more: to set the deadline under the connection's lock, and to test the connection after its use.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use gantry_resilience::deadline::Deadline;
use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::{
    sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::UnitDeadline;
use crate::connection::State;

/// Pool of connections that read. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Readers(Arc<Shared>);

struct Shared {
    options: SqliteConnectOptions,
    acquire_timeout: Duration,
    /// Number of connections.
    limit: u32,
    /// One for each connection that is not in use, given out in order.
    permits: Arc<Semaphore>,
    is_closed: AtomicBool,
    /// Empty once the pool is closed.
    connections: Mutex<Vec<Arc<tokio::sync::Mutex<Open>>>>,
}

/// Open connection.
struct Open {
    conn: SqliteConnection,
    /// Deadline of the statements.
    deadline: UnitDeadline,
    /// State of the statements of the last caller.
    state: State,
}

/// Connection of one caller. Its fields are dropped in this order: who gets the permit finds a connection.
pub(crate) struct Reader {
    open: OwnedMutexGuard<Open>,
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    /// Opens the connections.
    pub(super) async fn open(
        options: SqliteConnectOptions,
        limit: u32,
        acquire_timeout: Duration,
    ) -> Result<Self, sqlx::Error> {
        let mut connections = Vec::new();
        for _ in 0..limit {
            connections.push(Arc::new(tokio::sync::Mutex::new(Open::new(&options).await?)));
        }
        Ok(Self(Arc::new(Shared {
            options,
            acquire_timeout,
            limit,
            permits: Arc::new(Semaphore::new(connections.len())),
            is_closed: AtomicBool::new(false),
            connections: Mutex::new(connections),
        })))
    }

    /// Waits for a connection. Its statements end at the deadline.
    pub(super) async fn acquire(&self, deadline: Option<Deadline>) -> Result<Reader, sqlx::Error> {
        if self.0.is_closed.load(Ordering::Relaxed) {
            return Err(sqlx::Error::PoolClosed);
        }
        let permit = timeout(self.0.acquire_timeout, Arc::clone(&self.0.permits).acquire_owned());
        let permit = permit.await.map_err(|_elapsed| sqlx::Error::PoolTimedOut)?;
        let permit = permit.map_err(|_closed| sqlx::Error::PoolClosed)?;
        let mut open = self.free().ok_or(sqlx::Error::PoolClosed)?;
        // A statement that its caller dropped may still be about to end: its deadline is not replaced before. If
        // the connection's thread has ended, the connection is replaced.
        if open.state.has_failed() && open.conn.lock_handle().await.is_err() {
            *open = Open::new(&self.0.options).await?;
        }
        open.state = State::default();
        open.deadline.set(deadline);
        Ok(Reader { open, _permit: permit })
    }

    /// Returns a connection that is not in use. The holder of a permit finds one, until the pool is closed.
    fn free(&self) -> Option<OwnedMutexGuard<Open>> {
        let connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        connections.iter().find_map(|open| Arc::clone(open).try_lock_owned().ok())
    }

    /// Returns the number of connections.
    pub(crate) fn limit(&self) -> u32 {
        self.0.limit
    }

    /// Returns the number of connections that are not in use.
    pub(crate) fn idle(&self) -> usize {
        self.0.permits.available_permits()
    }

    /// Refuses further callers, waits for the present ones and closes the connections.
    pub(super) async fn close(&self) {
        self.0.is_closed.store(true, Ordering::Relaxed);
        // Fails only if it is closed already.
        let _all = self.0.permits.acquire_many(self.0.limit).await;
        self.0.permits.close();
        for open in self.take() {
            // Nobody has it: all permits are here.
            let Ok(open) = Arc::try_unwrap(open) else { continue };
            if let Err(error) = open.into_inner().conn.close().await {
                tracing::debug!(%error, "connection that reads not closed");
            }
        }
    }

    fn take(&self) -> Vec<Arc<tokio::sync::Mutex<Open>>> {
        let mut connections = self.0.connections.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *connections)
    }
}

impl Open {
    async fn new(options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut conn = options.connect().await?;
        let deadline = UnitDeadline::default();
        deadline.install(&mut conn).await?;
        Ok(Self { conn, deadline, state: State::default() })
    }
}

impl Reader {
    /// Returns the connection and the state of its statements.
    pub(crate) fn parts(&mut self) -> (&mut SqliteConnection, &mut State) {
        let Open { conn, state, .. } = &mut *self.open;
        (conn, state)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Ends a statement that the caller dropped.
        if self.open.state.has_failed() {
            self.open.deadline.expire();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("limit", &self.limit).finish_non_exhaustive()
    }
}
