//! The unit of work.

use std::{future::Future, io, pin::Pin};

use sqlx::SqliteConnection;
use tracing::Instrument;

use crate::Sqlite;

/// What a unit of work does with the writer's connection.
pub type Unit<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'c>>;

impl Sqlite {
    /// Runs `unit` as one transaction: committed where it returns `Ok`, rolled back
    /// where it returns `Err` or panics.
    ///
    /// While it waits for the connection, the unit is given up together with its
    /// caller. Once begun it runs to its end, caller or not: a commit is never
    /// abandoned half-way, and [`Sqlite::close`] waits for it.
    ///
    /// ```
    /// # async fn run(db: gantry_sql::Sqlite, name: String) -> Result<(), sqlx::Error> {
    /// db.write(|conn| {
    ///     Box::pin(async move {
    ///         sqlx::query("INSERT INTO things (name) VALUES (?)").bind(name).execute(conn).await
    ///     })
    /// })
    /// .await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The unit's own, or what the database said to beginning or committing. If the files were
    /// removed, nothing is begun: see [`StorageError::Unavailable`](crate::StorageError::Unavailable).
    pub async fn write<T, E, F>(&self, unit: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<sqlx::Error> + Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Unit<'c, T, E> + Send + 'static,
    {
        let mut connection = self.writer.acquire().await?;
        // A commit to a removed file would succeed, and be lost.
        self.files.present().map_err(|gone| sqlx::Error::Io(io::Error::other(gone)))?;
        let probe = self.probe.clone();
        let work = async move {
            use sqlx::Connection;
            // IMMEDIATE: a transaction that began by reading could find, when it
            // comes to write, that it may not, after half of its work.
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            match unit(&mut transaction).await {
                Ok(done) => {
                    let committed = transaction.commit().await;
                    probe.wrote(committed.is_ok());
                    committed?;
                    Ok(done)
                }
                Err(refused) => {
                    // The unit's error is the one to tell; what is left of a failed
                    // rollback is undone when the connection is next used.
                    if let Err(error) = transaction.rollback().await {
                        tracing::warn!(%error, "rollback failed");
                    }
                    Err(refused)
                }
            }
        };
        match self.units.spawn(work.in_current_span()).await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Nobody aborts the task: only the runtime's own end cancels it.
                Err(_cancelled) => Err(sqlx::Error::WorkerCrashed.into()),
            },
        }
    }
}
