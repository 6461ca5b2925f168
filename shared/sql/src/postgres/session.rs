//! One pooled connection to a PostgreSQL server, in the hands of one caller.

use std::{future::Future, io, time::Duration};

use gantry_resilience::deadline::Deadline;
use sqlx::{AssertSqlSafe, Executor, PgConnection, pool::PoolConnection, postgres::Postgres};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::health::Admitted;
use crate::{
    connection::{Boxed, Isolation},
    error::{DeadlineExceeded, UnknownOutcome, is_canceled, is_lost},
};

/// Time beyond the server's own limit after which a server that does not answer counts as away.
const GRACE: Duration = Duration::from_secs(5);
/// Excess of the server's limit over the remaining time at which the limit is set anew, beside an
/// eighth of the remaining time.
const EXCESS: Duration = Duration::from_millis(50);

/// A connection, with the limit of its statements.
///
/// The server ends a statement after `statement_timeout`: the time that the caller's deadline leaves,
/// at most the setting's. A unit sets it in the text of its BEGIN, a reader in one statement that also
/// shows that the pooled connection still works. If much of that time is used up, the next statement
/// sets it again.
///
/// sqlx's transactions are not used: they would return a connection whose server hangs to the pool.
#[derive(Debug)]
pub(crate) struct Session {
    conn: PoolConnection<Postgres>,
    /// Until the first statement has ended.
    admitted: Option<Admitted>,
    deadline: Option<Deadline>,
    /// Limit of a statement without a deadline.
    longest: Duration,
    /// Limit that the server has.
    limit: Duration,
    in_unit: bool,
    /// A statement has begun and not ended.
    is_busy: bool,
    /// The connection broke, or its server does not answer.
    is_lost: bool,
}

impl Session {
    pub(super) fn new(
        conn: PoolConnection<Postgres>,
        admitted: Admitted,
        deadline: Option<Deadline>,
        longest: Duration,
    ) -> Self {
        Self {
            conn,
            admitted: Some(admitted),
            deadline,
            longest,
            limit: longest,
            in_unit: false,
            is_busy: false,
            is_lost: false,
        }
    }

    /// Begins a unit of work.
    pub(crate) async fn begin(&mut self, isolation: Isolation) -> Result<(), sqlx::Error> {
        self.limit = self.left()?;
        // Only a rollback, or the end of the connection, ends what a failed BEGIN may have begun.
        self.in_unit = true;
        let begin = isolation.begin();
        let limit = millis(self.limit);
        self.simple(format!("{begin}; SET LOCAL statement_timeout = {limit}")).await
    }

    /// Sets the limit of the statements of a reader.
    pub(crate) async fn begin_reading(&mut self) -> Result<(), sqlx::Error> {
        self.limit = self.left()?;
        self.set_limit().await
    }

    /// Commits the unit. No deadline cuts it.
    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        self.limit = self.longest;
        let committed = self.simple("COMMIT".to_owned()).await;
        // The server may have committed before the connection broke.
        committed.map_err(|error| match is_lost(&error) {
            true => UnknownOutcome(error).into(),
            false => error,
        })?;
        self.in_unit = false;
        Ok(())
    }

    /// Rolls the unit back.
    pub(crate) async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        if self.is_lost {
            return Ok(());
        }
        self.simple("ROLLBACK".to_owned()).await?;
        self.in_unit = false;
        Ok(())
    }

    /// Runs a statement.
    pub(crate) async fn run<T, F>(&mut self, statement: F) -> Result<T, sqlx::Error>
    where
        F: for<'c> FnOnce(&'c mut PgConnection) -> Boxed<'c, Result<T, sqlx::Error>> + Send,
    {
        let left = self.left()?;
        if self.limit > left + left / 8 + EXCESS {
            self.limit = left;
            self.set_limit().await?;
        }
        self.is_busy = true;
        let result = answered(self.limit, statement(&mut self.conn)).await;
        self.is_busy = false;
        result.map_err(|error| self.failed(error))
    }

    async fn set_limit(&mut self) -> Result<(), sqlx::Error> {
        let local = if self.in_unit { "LOCAL " } else { "" };
        let limit = millis(self.limit);
        self.simple(format!("SET {local}statement_timeout = {limit}")).await
    }

    /// Runs a text without parameters, in one round trip.
    async fn simple(&mut self, text: String) -> Result<(), sqlx::Error> {
        // Made of constants and a number.
        let text = sqlx::raw_sql(AssertSqlSafe(text));
        self.is_busy = true;
        let result = answered(self.limit, self.conn.execute(text)).await;
        self.is_busy = false;
        if let Some(admitted) = self.admitted.take() {
            admitted.record(&result);
        }
        result.map(drop).map_err(|error| self.failed(error))
    }

    /// Notes a lost connection, and tells a statement that the deadline ended from one that took
    /// longer than the setting.
    fn failed(&mut self, error: sqlx::Error) -> sqlx::Error {
        self.is_lost |= is_lost(&error);
        match is_canceled(&error) && self.limit < self.longest {
            true => DeadlineExceeded.into(),
            false => error,
        }
    }

    /// Returns the time that a statement may take.
    fn left(&self) -> Result<Duration, sqlx::Error> {
        let Some(deadline) = self.deadline else { return Ok(self.longest) };
        let left = deadline.left(Instant::now()).ok_or(DeadlineExceeded)?;
        Ok(left.min(self.longest))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The server rolls back what a closed connection has begun.
        if self.in_unit || self.is_lost {
            self.conn.close_on_drop();
            return;
        }
        // The pool takes it back once the server has answered a last message, which follows the end of
        // a dropped statement. sqlx waits for that without a limit.
        let limit = if self.is_busy { self.limit } else { Duration::ZERO };
        let returned = self.conn.return_to_pool();
        // Without a runtime, or an answer, the connection is closed.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                if timeout(limit.saturating_add(GRACE), returned).await.is_err() {
                    tracing::warn!("connection to a server that does not answer given up");
                }
            });
        }
    }
}

/// Waits for the server's answer for a little longer than its own limit.
async fn answered<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match timeout(limit.saturating_add(GRACE), answer).await {
        Ok(answer) => answer,
        Err(_elapsed) => {
            let why = "the server does not answer";
            Err(sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, why)))
        }
    }
}

/// Returns the number of milliseconds, at least one: zero is no limit.
fn millis(limit: Duration) -> u128 {
    limit.as_millis().max(1)
}
