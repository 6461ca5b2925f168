//! Deletion of rows that are past their time.

use std::time::Duration;

use time::OffsetDateTime;
use tokio::time::MissedTickBehavior;

use crate::{Database, StoredTime};

/// Interval of [`Purge::keep_running`].
const EVERY: Duration = Duration::from_secs(10 * 60);
/// Rows deleted in one transaction, so that other writers wait a moment only.
const AT_ONCE: i64 = 1000;

/// Rows of a table that are deleted once they are past their time.
///
/// ```
/// use std::time::Duration;
///
/// const OLD_THINGS: gantry_sql::Purge = gantry_sql::Purge {
///     rows: "old things",
///     kept: Duration::from_secs(60),
///     statement: "DELETE FROM things WHERE name IN
///         (SELECT name FROM things WHERE create_time < $1 LIMIT $2)",
/// };
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Purge {
    /// Name of the rows in the log.
    pub rows: &'static str,
    /// Age up to which they are kept.
    pub kept: Duration,
    /// Statement that deletes rows whose time lies before `$1`, at most `$2` of them.
    pub statement: &'static str,
}

impl Purge {
    /// Deletes all rows that are past their time at `now`. Returns their number.
    ///
    /// # Errors
    /// Error of the database. Rows deleted before stay deleted.
    pub async fn run(self, db: &Database, now: OffsetDateTime) -> Result<u64, sqlx::Error> {
        let before = StoredTime(now - self.kept);
        let mut purged = 0;
        loop {
            // Another process may purge at the same time: a row that is gone conflicts with nothing.
            let deleted: Result<u64, sqlx::Error> = db
                .write_locked(before, move |conn, before| {
                    Box::pin(conn.query(self.statement).bind(*before).bind(AT_ONCE).execute())
                })
                .await;
            let deleted = deleted?;
            purged += deleted;
            if deleted < AT_ONCE.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// Runs at once and every 10 minutes, until it is dropped. `now` returns the time of day.
    pub async fn keep_running(self, db: Database, now: impl Fn() -> OffsetDateTime) {
        let mut ticks = tokio::time::interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.run(&db, now()).await {
                Ok(count) => tracing::debug!(rows = self.rows, count, "rows purged"),
                Err(error) => tracing::warn!(rows = self.rows, %error, "rows not purged"),
            }
        }
    }
}
