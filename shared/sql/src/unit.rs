//! The unit of work.

use std::{future::Future, pin::Pin, time::Duration};

use gantry_resilience::deadline::Deadline;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Connection, Database,
    connection::Isolation,
    database::Writer,
    deadline::{current, within},
    error::{is_stale, must_repeat},
};

/// Times that a unit runs again after a conflict with another one.
const REPEATS: u32 = 3;
/// Longest pause before the first repetition; it doubles with each.
const PAUSE: Duration = Duration::from_millis(10);

/// Work of a unit on its connection.
pub type Unit<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

impl Database {
    /// Runs `unit` as one transaction: committed if it returns `Ok`, rolled back if it returns `Err`
    /// or panics.
    ///
    /// The unit sees the database as it was when it began. It borrows its `state`, because on
    /// PostgreSQL it runs again, at most three times, if it conflicts with another unit. What a
    /// decision hangs on must be a row that the unit changes: another unit may change rows that this
    /// one only read.
    ///
    /// While it waits for a connection, the unit is given up together with its caller. Once begun it
    /// runs to its end, caller or not: a commit is never abandoned half-way, and
    /// [`Database::close`] waits for it. It does not run again without its caller.
    ///
    /// The deadline of the call of this task ends the wait for a connection, a statement that runs,
    /// and the repetitions; a COMMIT that is under way is finished.
    ///
    /// ```
    /// # async fn run(db: gantry_sql::Database, name: String) -> Result<(), sqlx::Error> {
    /// db.write(name, |conn, name| {
    ///     Box::pin(conn.query("INSERT INTO things (name) VALUES ($1)").bind(name).execute())
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The unit's own, or what the database said to beginning or committing. If a statement failed,
    /// the unit is not committed, even if it returns `Ok`. If SQLite's files were removed, nothing is
    /// begun: see [`StorageError::Unavailable`](crate::StorageError::Unavailable).
    pub async fn write<S, T, E, F>(&self, state: S, unit: F) -> Result<T, E>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
        F: for<'c> Fn(&'c mut Connection, &'c S) -> Unit<'c, T, E> + Send + Sync + 'static,
    {
        self.run(Isolation::RepeatableRead, state, unit).await
    }

    /// As [`write`](Self::write), for a unit that first locks what it decides on: with `FOR UPDATE`
    /// in the order of the keys, or with [`Connection::lock`].
    ///
    /// Each of its statements sees what was committed before it, so after the lock it sees the
    /// latest. Units that change the same rows wait for each other instead of running again.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_locked<S, T, E, F>(&self, state: S, unit: F) -> Result<T, E>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
        F: for<'c> Fn(&'c mut Connection, &'c S) -> Unit<'c, T, E> + Send + Sync + 'static,
    {
        self.run(Isolation::ReadCommitted, state, unit).await
    }

    async fn run<S, T, E, F>(&self, isolation: Isolation, state: S, unit: F) -> Result<T, E>
    where
        S: Send + Sync + 'static,
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
        F: for<'c> Fn(&'c mut Connection, &'c S) -> Unit<'c, T, E> + Send + Sync + 'static,
    {
        let deadline = current();
        let mut writer = self.writer(deadline).await?;
        let caller = CancellationToken::new();
        let _until_the_caller_goes_away = caller.clone().drop_guard();
        let database = self.clone();
        let work = async move {
            let (mut repeats, mut stale) = (0, 0);
            loop {
                let attempt = Attempt { isolation, deadline, state: &state, unit: &unit };
                let (result, again) = database.attempt(writer, attempt).await;
                let pause = match again {
                    Some(Again::Stale) if stale < database.connections() => {
                        stale += 1;
                        Duration::ZERO
                    }
                    Some(Again::Conflict) if repeats < REPEATS => {
                        let pause = PAUSE.mul_f64(fastrand::f64()) * 2_u32.pow(repeats);
                        repeats += 1;
                        pause
                    }
                    _ => return result,
                };
                let again = within(deadline, async {
                    tokio::time::sleep(pause).await;
                    database.writer(deadline).await
                });
                writer = match caller.run_until_cancelled(again).await {
                    Some(writer) => writer?,
                    None => return result,
                };
                tracing::debug!(repeats, stale, "unit of work runs again");
            }
        };
        match self.units.spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody aborts the task: only the runtime's own end cancels it.
                Err(_cancelled) => Err(sqlx::Error::WorkerCrashed.into()),
            },
        }
    }

    /// Runs the unit once. Returns beside its result why it may succeed if it runs again.
    async fn attempt<S, T, E, F>(
        &self,
        writer: Writer,
        attempt: Attempt<'_, S, F>,
    ) -> (Result<T, E>, Option<Again>)
    where
        E: From<sqlx::Error>,
        F: for<'c> Fn(&'c mut Connection, &'c S) -> Unit<'c, T, E>,
    {
        let Attempt { isolation, deadline, state, unit } = attempt;
        let mut conn = match writer.begin(isolation, deadline).await {
            Ok(conn) => conn.measured(self.measures.as_ref()),
            Err(error) => {
                self.probe.failed(&error);
                let again = (self.is_shared() && is_stale(&error)).then_some(Again::Stale);
                return (Err(error.into()), again);
            }
        };
        let result = unit(&mut conn, state).await;
        let conflict = self.is_shared() && conn.must_repeat();
        let again = |conflict: bool| conflict.then_some(Again::Conflict);
        match result {
            Ok(done) => {
                let wrote_events = conn.has_written_events();
                let committed = conn.commit().await;
                // A failed commit too: it may have taken effect.
                if wrote_events {
                    self.outbox_writes.send_modify(|writes| *writes += 1);
                }
                self.probe.wrote(committed.is_ok());
                match committed {
                    Ok(()) => (Ok(done), None),
                    Err(error) => {
                        let conflict = conflict || must_repeat(&error);
                        (Err(error.into()), again(conflict))
                    }
                }
            }
            Err(refused) => {
                conn.roll_back().await;
                (Err(refused), again(conflict))
            }
        }
    }
}

/// One run of a unit.
struct Attempt<'u, S, F> {
    isolation: Isolation,
    deadline: Option<Deadline>,
    state: &'u S,
    unit: &'u F,
}

/// Reason for which a unit may run again.
enum Again {
    /// It met another unit.
    Conflict,
    /// It has not begun: the server had closed the pooled connection.
    Stale,
}
