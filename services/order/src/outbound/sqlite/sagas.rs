//! The saga log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gantry_contract::Clock;
use gantry_saga::{
    Append, Claimed, Entry, Filter, History, Intervention, Log, LogError, NewSaga, Recorded,
    Status, Summary,
};
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
             (id, name, input, context, status, epoch, length, lease_expire_time, create_time,
              update_time)
         VALUES (?, ?, ?, ?, ?, 0, 0, 0, ?, ?)",
    )
    .bind(saga.id)
    .bind(saga.name)
    .bind(&saga.input)
    .bind(serde_json::to_string(&saga.context).map_err(encode)?)
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
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = self.clock.now();
        let names = serde_json::to_string(names).map_err(|error| unavailable(encode(error)))?;
        // Asked every second, and mostly for nothing: that must not occupy the writer.
        let any: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM sagas
              WHERE status = 'running' AND lease_expire_time <= ?
                AND name IN (SELECT value FROM json_each(?)))",
        )
        .bind(StoredTime(now))
        .bind(&names)
        .fetch_one(self.database.reader())
        .await
        .map_err(unavailable)?;
        if !any {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    let rows: Vec<SagaRow> = sqlx::query_as(
                        "UPDATE sagas SET epoch = epoch + 1, lease_expire_time = ?
                          WHERE id IN (SELECT id FROM sagas
                                        WHERE status = 'running' AND lease_expire_time <= ?
                                          AND name IN (SELECT value FROM json_each(?))
                                        ORDER BY id LIMIT ?)
                         RETURNING id, name, input, context, status, epoch, create_time, update_time",
                    )
                    .bind(StoredTime(now + lease))
                    .bind(StoredTime(now))
                    .bind(names)
                    .bind(limit)
                    .fetch_all(&mut *conn)
                    .await?;
                    let mut claimed = Vec::with_capacity(rows.len());
                    for row in rows {
                        let entries = entries(conn, row.id).await?;
                        match row.claimed(entries) {
                            Ok(saga) => claimed.push(saga),
                            // Left out until its lease ends: it must not hold up the others.
                            Err((id, error)) => {
                                tracing::error!(saga = %id, %error, "saga log cannot be read");
                            }
                        }
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
        let Append { saga, epoch, position, entries, status, lease } = append;
        let now = self.clock.now();
        let entries = encoded(entries)?;
        let until = StoredTime(now + lease);
        let change = Change { saga, epoch, raise: 0, status, until, now };
        self.database
            .write(move |conn| {
                Box::pin(async move { change.append(conn, position, entries).await })
            })
            .await?;
        Ok(())
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        let now = self.clock.now();
        let until = StoredTime(now + pause);
        let change = Change { saga, epoch, raise: 0, status: Status::Running, until, now };
        self.database
            .write(move |conn| Box::pin(async move { change.release(conn).await }))
            .await?;
        Ok(())
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError> {
        let Filter { status, before, limit } = filter;
        let rows: Vec<SagaRow> = sqlx::query_as(
            "SELECT id, name, input, context, status, epoch, create_time, update_time
               FROM sagas WHERE (?1 IS NULL OR status = ?1) AND id < ?2
              ORDER BY id DESC LIMIT ?3",
        )
        .bind(status.map(Status::as_str))
        // Every id comes before the greatest one.
        .bind(before.unwrap_or(Uuid::max()))
        .bind(i64::try_from(*limit).unwrap_or(i64::MAX))
        .fetch_all(self.database.reader())
        .await
        .map_err(unavailable)?;
        rows.into_iter().map(SagaRow::summary).collect()
    }

    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError> {
        let mut reader = self.database.reader().begin().await.map_err(unavailable)?;
        let row: Option<SagaRow> = sqlx::query_as(
            "SELECT id, name, input, context, status, epoch, create_time, update_time
               FROM sagas WHERE id = ?",
        )
        .bind(saga)
        .fetch_optional(&mut *reader)
        .await
        .map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let entries = entries(&mut reader, saga).await.map_err(unavailable)?;
        let entries = entries.into_iter().map(EntryRow::recorded).collect::<Result<_, _>>();
        Ok(Some(History {
            input: row.input.clone(),
            epoch: row.epoch,
            entries: entries.map_err(corrupt)?,
            summary: row.summary()?,
        }))
    }

    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError> {
        let Intervention { saga, epoch, position, entry, status } = intervention;
        let now = self.clock.now();
        let entries = encoded(std::slice::from_ref(entry))?;
        let change = Change { saga, epoch, raise: 1, status, until: StoredTime(now), now };
        self.database
            .write(move |conn| {
                Box::pin(async move { change.append(conn, position, entries).await })
            })
            .await?;
        Ok(())
    }
}

/// Change of a saga's row that is still at this epoch.
struct Change {
    saga: Uuid,
    epoch: i64,
    /// Added to the epoch.
    raise: i64,
    status: Status,
    until: StoredTime,
    now: OffsetDateTime,
}

impl Change {
    /// Appends the entries if the log ends at this position.
    async fn append(
        self,
        conn: &mut SqliteConnection,
        position: usize,
        entries: Vec<String>,
    ) -> Result<(), Refused> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let end = position + i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let held = sqlx::query(
            "UPDATE sagas
                SET status = ?, epoch = epoch + ?, length = ?, lease_expire_time = ?, update_time = ?
              WHERE id = ? AND epoch = ? AND length = ?",
        )
        .bind(self.status.as_str())
        .bind(self.raise)
        .bind(end)
        .bind(self.until)
        .bind(StoredTime(self.now))
        .bind(self.saga)
        .bind(self.epoch)
        .bind(position)
        .execute(&mut *conn)
        .await?;
        if held.rows_affected() == 0 {
            return Err(Refused(LogError::Stale));
        }
        for (position, entry) in (position..).zip(entries) {
            sqlx::query(
                "INSERT INTO saga_entries (saga_id, position, create_time, entry) VALUES (?, ?, ?, ?)",
            )
            .bind(self.saga)
            .bind(position)
            .bind(StoredTime(self.now))
            .bind(entry)
            .execute(&mut *conn)
            .await?;
        }
        Ok(())
    }

    /// Ends the lease of a running saga.
    async fn release(self, conn: &mut SqliteConnection) -> Result<(), Refused> {
        let held = sqlx::query(
            "UPDATE sagas SET lease_expire_time = ?, update_time = ?
              WHERE id = ? AND epoch = ? AND status = 'running'",
        )
        .bind(self.until)
        .bind(StoredTime(self.now))
        .bind(self.saga)
        .bind(self.epoch)
        .execute(conn)
        .await?;
        if held.rows_affected() == 0 { Err(Refused(LogError::Stale)) } else { Ok(()) }
    }
}

#[derive(Debug, sqlx::FromRow)]
struct SagaRow {
    id: Uuid,
    name: String,
    input: String,
    context: String,
    status: String,
    epoch: i64,
    create_time: StoredTime,
    update_time: StoredTime,
}

#[derive(Debug, sqlx::FromRow)]
struct EntryRow {
    create_time: StoredTime,
    entry: String,
}

impl SagaRow {
    fn claimed(self, entries: Vec<EntryRow>) -> Result<Claimed, (Uuid, serde_json::Error)> {
        let Self { id, name, input, context, epoch, .. } = self;
        let bad = |error| (id, error);
        let context = serde_json::from_str(&context).map_err(bad)?;
        let entries = entries.into_iter().map(|row| Ok(row.recorded()?.entry));
        let entries = entries.collect::<Result<_, _>>().map_err(bad)?;
        Ok(Claimed { id, name, input, context, epoch, entries })
    }

    fn summary(self) -> Result<Summary, LogError> {
        let unknown = || corrupt(format!("the saga {} has the status {}", self.id, self.status));
        Ok(Summary {
            id: self.id,
            status: Status::parse(&self.status).ok_or_else(unknown)?,
            name: self.name,
            context: serde_json::from_str(&self.context).map_err(corrupt)?,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
        })
    }
}

impl EntryRow {
    fn recorded(self) -> Result<Recorded, serde_json::Error> {
        Ok(Recorded { time: self.create_time.0, entry: serde_json::from_str(&self.entry)? })
    }
}

/// The entries of a saga, in order.
async fn entries(conn: &mut SqliteConnection, saga: Uuid) -> Result<Vec<EntryRow>, sqlx::Error> {
    sqlx::query_as(
        "SELECT create_time, entry FROM saga_entries WHERE saga_id = ? ORDER BY position",
    )
    .bind(saga)
    .fetch_all(conn)
    .await
}

/// The entries as they are stored.
fn encoded(entries: &[Entry]) -> Result<Vec<String>, LogError> {
    let encoded = entries.iter().map(serde_json::to_string).collect::<Result<_, _>>();
    encoded.map_err(|error| unavailable(encode(error)))
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

fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> LogError {
    LogError::Unavailable(cause.into())
}
