//! Pool of connections to one server.

use std::{sync::Arc, time::Duration};

use gantry_resilience::deadline::Deadline;
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{Session, health::Health};
use crate::{Connection, PostgresSettings, deadline::within, error::is_stale};

/// Pool of connections to one server. Its size is the bulkhead: no more callers than that occupy the
/// server, and the others wait at most `acquire_timeout`, within their deadlines.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    pool: PgPool,
    health: Arc<Health>,
    /// Time after which the server ends a statement.
    statement_timeout: Duration,
}

impl Pool {
    pub(super) async fn open(
        options: PgConnectOptions,
        connections: u32,
        health: &Arc<Health>,
        settings: &PostgresSettings,
    ) -> Result<Self, sqlx::Error> {
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            // The first statement of each use shows it, without a round trip of its own.
            .test_before_acquire(false)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(settings.idle_timeout)
            .max_lifetime(settings.max_lifetime)
            .connect_with(options)
            .await?;
        let statement_timeout = settings.statement_timeout;
        Ok(Self { pool, health: Arc::clone(health), statement_timeout })
    }

    /// Returns a connection that is still untested: the server may have closed it.
    pub(crate) async fn session(&self, deadline: Option<Deadline>) -> Result<Session, sqlx::Error> {
        // Boxed: its state is large, and would be a part of every unit.
        let connect = Box::pin(self.health.connect(self.pool.acquire()));
        let (conn, admitted) = within(deadline, connect).await?;
        Ok(Session::new(conn, admitted, deadline, self.statement_timeout))
    }

    /// Returns a connection that reads until the deadline.
    ///
    /// Connections that the server has closed are skipped: nothing was executed on them.
    pub(crate) async fn read(&self, deadline: Option<Deadline>) -> Result<Connection, sqlx::Error> {
        let mut stale = 0;
        loop {
            let mut session = self.session(deadline).await?;
            match session.begin_reading().await {
                Ok(()) => return Ok(session.into()),
                Err(error) if is_stale(&error) && stale < self.size() => {
                    stale += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the largest number of connections.
    pub(crate) fn size(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    /// Returns the pool of sqlx, for metrics.
    pub(crate) fn inner(&self) -> &PgPool {
        &self.pool
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}
