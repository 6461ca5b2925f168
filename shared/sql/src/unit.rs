//! The unit of work.

use std::{future::Future, pin::Pin, time::Duration};

use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{Connection, Database, connection::Isolation, error::must_repeat};

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
        let mut conn = self.writer().await?;
        let caller = CancellationToken::new();
        let _until_the_caller_goes_away = caller.clone().drop_guard();
        let database = self.clone();
        let work = async move {
            let mut repeats = 0;
            loop {
                let (result, may_repeat) = database.attempt(conn, isolation, &state, &unit).await;
                if !may_repeat || repeats == REPEATS {
                    return result;
                }
                let pause = PAUSE.mul_f64(fastrand::f64()) * 2_u32.pow(repeats);
                repeats += 1;
                let again = async {
                    tokio::time::sleep(pause).await;
                    database.writer().await
                };
                conn = match caller.run_until_cancelled(again).await {
                    Some(conn) => conn?,
                    None => return result,
                };
                tracing::debug!(repeats, "unit of work runs again after a conflict");
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

    /// Runs the unit once. Returns true beside its result if it may succeed if it runs again.
    async fn attempt<S, T, E, F>(
        &self,
        conn: Connection,
        isolation: Isolation,
        state: &S,
        unit: &F,
    ) -> (Result<T, E>, bool)
    where
        E: From<sqlx::Error>,
        F: for<'c> Fn(&'c mut Connection, &'c S) -> Unit<'c, T, E>,
    {
        let mut conn = match conn.begin(isolation).await {
            Ok(conn) => conn,
            Err(error) => return (Err(error.into()), false),
        };
        let result = unit(&mut conn, state).await;
        let may_repeat = self.is_shared() && conn.must_repeat();
        match result {
            Ok(done) => {
                let committed = conn.commit().await;
                self.probe.wrote(committed.is_ok());
                match committed {
                    Ok(()) => (Ok(done), false),
                    Err(error) => {
                        let may_repeat = may_repeat || must_repeat(&error);
                        (Err(error.into()), may_repeat)
                    }
                }
            }
            Err(refused) => {
                conn.roll_back().await;
                (Err(refused), may_repeat)
            }
        }
    }
}
