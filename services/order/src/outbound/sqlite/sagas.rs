//! The saga log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gantry_contract::Clock;
use gantry_saga::{Append, Claimed, Entry, Log, LogError, NewSaga, Status};
use gantry_sql::{Sqlite, StorageError, StoredTime};
use sqlx::SqliteConnection;
use time::OffsetDateTime;
use uuid::Uuid;

/// The saga log in a SQLite database that has [`MIGRATIONS`](super::MIGRATIONS).
#[derive(Clone, Debug)]
pub struct SqliteSagaLog {
    database: Sqlite,
    clock: Arc<dyn Clock>,
}

impl SqliteSagaLog {
    /// The saga log in this database. Whatever leases stand in it end: the database is
    /// open in this process only, so whoever held them is gone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(database: Sqlite, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        database
            .write(|conn| {
                Box::pin(async move {
                    sqlx::query("UPDATE sagas SET lease_expire_time = 0 WHERE status = 'running'")
                        .execute(conn)
                        .await?;
                    Ok::<_, StorageError>(())
                })
            })
            .await?;
        Ok(Self { database, clock })
    }
}

/// Writes a saga to be begun, in a unit of work that makes it necessary.
pub(super) async fn begin(
    conn: &mut SqliteConnection,
    saga: &NewSaga,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO sagas
             (id, name, input, status, epoch, lease_expire_time, create_time, update_time)
         VALUES (?, ?, ?, ?, 0, 0, ?, ?)",
    )
    .bind(saga.id)
    .bind(saga.name)
    .bind(&saga.input)
    .bind(Status::Running.as_str())
    .bind(StoredTime(now))
    .bind(StoredTime(now))
    .execute(conn)
    .await
    .map(drop)
}

#[async_trait]
impl Log for SqliteSagaLog {
    async fn claim(
        &self,
        name: &str,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = self.clock.now();
        // Asked every second, and mostly for nothing: that must not occupy the writer.
        let any: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sagas
              WHERE name = ? AND status = 'running' AND lease_expire_time <= ?)",
        )
        .bind(name)
        .bind(StoredTime(now))
        .fetch_one(self.database.reader())
        .await
        .map_err(unavailable)?;
        if !any {
            return Ok(Vec::new());
        }
        let name = name.to_owned();
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    let rows: Vec<SagaRow> = sqlx::query_as(
                        "UPDATE sagas SET epoch = epoch + 1, lease_expire_time = ?
                          WHERE id IN (SELECT id FROM sagas
                                        WHERE name = ? AND status = 'running' AND lease_expire_time <= ?
                                        ORDER BY id LIMIT ?)
                         RETURNING id, input, epoch",
                    )
                    .bind(StoredTime(now + lease))
                    .bind(name)
                    .bind(StoredTime(now))
                    .bind(limit)
                    .fetch_all(&mut *conn)
                    .await?;
                    let mut claimed = Vec::with_capacity(rows.len());
                    for row in rows {
                        claimed.extend(row.claimed(conn).await?);
                    }
                    // What an update returns has no order.
                    claimed.sort_by_key(|saga| saga.id);
                    Ok(claimed)
                })
            })
            .await
            .map_err(unavailable)
    }

    async fn append(&self, append: Append<'_>) -> Result<(), LogError> {
        let Append { saga, epoch, position, entry, status, lease } = append;
        let now = self.clock.now();
        let entry = serde_json::to_string(entry).map_err(|error| Refused::from(encode(error)))?;
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    let until = StoredTime(now + lease);
                    hold(conn, saga, epoch, status, until, now).await?;
                    sqlx::query(
                        "INSERT INTO saga_entries (saga_id, position, create_time, entry) VALUES (?, ?, ?, ?)",
                    )
                    .bind(saga)
                    .bind(position)
                    .bind(StoredTime(now))
                    .bind(entry)
                    .execute(conn)
                    .await?;
                    Ok::<_, Refused>(())
                })
            })
            .await?;
        Ok(())
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        let now = self.clock.now();
        let until = StoredTime(now + pause);
        self.database
            .write(move |conn| {
                Box::pin(async move { hold(conn, saga, epoch, Status::Running, until, now).await })
            })
            .await?;
        Ok(())
    }
}

/// Writes where a saga stands, where it is still held under this epoch.
async fn hold(
    conn: &mut SqliteConnection,
    saga: Uuid,
    epoch: i64,
    status: Status,
    until: StoredTime,
    now: OffsetDateTime,
) -> Result<(), Refused> {
    let held = sqlx::query(
        "UPDATE sagas SET status = ?, lease_expire_time = ?, update_time = ?
          WHERE id = ? AND epoch = ? AND status = 'running'",
    )
    .bind(status.as_str())
    .bind(until)
    .bind(StoredTime(now))
    .bind(saga)
    .bind(epoch)
    .execute(conn)
    .await?;
    if held.rows_affected() == 0 { Err(Refused(LogError::Stale)) } else { Ok(()) }
}

#[derive(Debug, sqlx::FromRow)]
struct SagaRow {
    id: Uuid,
    input: String,
    epoch: i64,
}

impl SagaRow {
    /// The saga with its log. One that cannot be read is left out, and looked at again
    /// when its lease ends: it must not hold up the others.
    async fn claimed(self, conn: &mut SqliteConnection) -> Result<Option<Claimed>, sqlx::Error> {
        let Self { id, input, epoch } = self;
        let entries: Vec<String> = sqlx::query_scalar(
            "SELECT entry FROM saga_entries WHERE saga_id = ? ORDER BY position",
        )
        .bind(id)
        .fetch_all(conn)
        .await?;
        match entries.iter().map(|entry| serde_json::from_str::<Entry>(entry)).collect() {
            Ok(entries) => Ok(Some(Claimed { id, input, epoch, entries })),
            Err(error) => {
                tracing::error!(saga = %id, %error, "saga log cannot be read");
                Ok(None)
            }
        }
    }
}

/// A [`LogError`] that a unit of work can end with.
struct Refused(LogError);

impl From<sqlx::Error> for Refused {
    fn from(error: sqlx::Error) -> Self {
        Self(unavailable(error))
    }
}

impl From<Refused> for LogError {
    fn from(refused: Refused) -> Self {
        refused.0
    }
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

fn unavailable(error: sqlx::Error) -> LogError {
    LogError::Unavailable(Box::new(error))
}
