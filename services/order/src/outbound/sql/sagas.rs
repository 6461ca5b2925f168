//! The saga log.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use gantry_contract::Clock;
use gantry_saga::{
    Append, Claimed, Entry, Filter, History, Intervention, Log, LogError, NewSaga, Recorded,
    Status, Summary,
};
use gantry_sql::{Connection, Database, StorageError, StoredTime, TextList};
use time::OffsetDateTime;
use uuid::Uuid;

/// The saga log in a database that has [`MIGRATIONS`](super::MIGRATIONS).
#[derive(Clone, Debug)]
pub struct SqlSagaLog {
    database: Database,
    clock: Arc<dyn Clock>,
}

impl SqlSagaLog {
    /// Opens the saga log in this database. If no other process can have the database open, all leases in
    /// it end: their holders are gone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(database: Database, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        if !database.is_shared() {
            let ended: Result<u64, sqlx::Error> = database
                .write((), |conn, ()| {
                    let end = "UPDATE sagas SET lease_expire_time = 0 WHERE status = 'running'";
                    Box::pin(conn.query(end).execute())
                })
                .await;
            ended?;
        }
        Ok(Self { database, clock })
    }

    /// Returns true if there is a saga to claim.
    async fn any(&self, names: &TextList, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let mut conn = self.database.reader().await?;
        conn.query(
            "SELECT EXISTS (SELECT 1 FROM sagas
              WHERE status = 'running' AND lease_expire_time <= $1 AND name = ANY($2))",
        )
        .bind(StoredTime(now))
        .bind(names.clone())
        .fetch_value()
        .await
    }

    async fn rows(&self, filter: &Filter) -> Result<Vec<SagaRow>, sqlx::Error> {
        let mut conn = self.database.reader().await?;
        conn.query(
            "SELECT id, name, input, context, status, epoch, create_time, update_time
               FROM sagas WHERE ($1 IS NULL OR status = $1) AND id < $2
              ORDER BY id DESC LIMIT $3",
        )
        .bind(filter.status.map(Status::as_str))
        // Every id comes before the greatest one.
        .bind(filter.before.unwrap_or(Uuid::max()))
        .bind(i64::try_from(filter.limit).unwrap_or(i64::MAX))
        .fetch_all()
        .await
    }

    /// Returns a saga once for each of its entries, in order. One statement, so that both are of the
    /// same moment.
    async fn history(&self, saga: Uuid) -> Result<Vec<HistoryRow>, sqlx::Error> {
        let mut conn = self.database.reader().await?;
        conn.query(
            "SELECT s.id, s.name, s.input, s.context, s.status, s.epoch, s.create_time, s.update_time,
                    e.create_time AS entry_time, e.entry
               FROM sagas s LEFT JOIN saga_entries e ON e.saga_id = s.id
              WHERE s.id = $1 ORDER BY e.position",
        )
        .bind(saga)
        .fetch_all()
        .await
    }
}

/// Writes a saga to be begun, in a unit of work that makes it necessary.
pub(super) async fn begin(
    conn: &mut Connection,
    saga: &NewSaga,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    conn.query(
        "INSERT INTO sagas
             (id, name, input, context, status, epoch, length, lease_expire_time, create_time,
              update_time)
         VALUES ($1, $2, $3, $4, $5, 0, 0, 0, $6, $6)",
    )
    .bind(saga.id)
    .bind(saga.name)
    .bind(&saga.input)
    .bind(serde_json::to_string(&saga.context).map_err(encode)?)
    .bind(Status::Running.as_str())
    .bind(StoredTime(now))
    .execute()
    .await
    .map(drop)
}

#[async_trait]
impl Log for SqlSagaLog {
    async fn claim(
        &self,
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = self.clock.now();
        let names = TextList::new(names.iter().copied());
        // Asked every second, and mostly for nothing: that must not occupy the writer.
        if !self.any(&names, now).await.map_err(unavailable)? {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.database
            .write_locked(names, move |conn, names| {
                Box::pin(claim(conn, names, limit, now, now + lease))
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
        self.append_entries(change, position, entries).await
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        let now = self.clock.now();
        let until = StoredTime(now + pause);
        let change = Change { saga, epoch, raise: 0, status: Status::Running, until, now };
        self.database.write(change, |conn, change| Box::pin(change.release(conn))).await?;
        Ok(())
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError> {
        let rows = self.rows(filter).await.map_err(unavailable)?;
        rows.into_iter().map(SagaRow::summary).collect()
    }

    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError> {
        let mut rows = self.history(saga).await.map_err(unavailable)?;
        let entries = rows.iter_mut().filter_map(HistoryRow::take_entry);
        let entries = entries.map(EntryRow::recorded).collect::<Result<_, _>>().map_err(corrupt)?;
        let Some(HistoryRow { saga, .. }) = rows.pop() else { return Ok(None) };
        Ok(Some(History {
            input: saga.input.clone(),
            epoch: saga.epoch,
            entries,
            summary: saga.summary()?,
        }))
    }

    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError> {
        let Intervention { saga, epoch, position, entry, status } = intervention;
        let now = self.clock.now();
        let entries = encoded(std::slice::from_ref(entry))?;
        let change = Change { saga, epoch, raise: 1, status, until: StoredTime(now), now };
        self.append_entries(change, position, entries).await
    }
}

impl SqlSagaLog {
    async fn append_entries(
        &self,
        change: Change,
        position: usize,
        entries: Vec<String>,
    ) -> Result<(), LogError> {
        self.database
            .write((change, entries), move |conn, (change, entries)| {
                Box::pin(change.append(conn, position, entries))
            })
            .await?;
        Ok(())
    }
}

/// Takes sagas whose lease has ended, those with the least ids first. Another claimant that does so at
/// the same time takes others.
async fn claim(
    conn: &mut Connection,
    names: &TextList,
    limit: i64,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<Vec<Claimed>, sqlx::Error> {
    // MATERIALIZED: PostgreSQL may run a subquery once for each row, and would lock more than the limit.
    let rows: Vec<SagaRow> = conn
        .query(
            "WITH due AS MATERIALIZED (
                 SELECT id FROM sagas
                  WHERE status = 'running' AND lease_expire_time <= $1 AND name = ANY($2)
                  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
             UPDATE sagas SET epoch = epoch + 1, lease_expire_time = $4
              WHERE id IN (SELECT id FROM due) AND status = 'running' AND lease_expire_time <= $1
             RETURNING id, name, input, context, status, epoch, create_time, update_time",
        )
        .bind(StoredTime(now))
        .bind(names.clone())
        .bind(limit)
        .bind(StoredTime(until))
        .fetch_all()
        .await?;
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let entries = entries(conn, row.id).await?;
        match row.claimed(entries) {
            Ok(saga) => claimed.push(saga),
            // Left out until its lease ends: it must not hold up the others.
            Err((id, error)) => tracing::error!(saga = %id, %error, "saga log cannot be read"),
        }
    }
    // What an update returns has no order.
    claimed.sort_by_key(|saga| saga.id);
    Ok(claimed)
}

/// Change of a saga's row that is still at this epoch.
#[derive(Clone, Copy)]
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
        &self,
        conn: &mut Connection,
        position: usize,
        entries: &[String],
    ) -> Result<(), Refused> {
        let position = i64::try_from(position).unwrap_or(i64::MAX);
        let end = position + i64::try_from(entries.len()).unwrap_or(i64::MAX);
        let held = conn
            .query(
                "UPDATE sagas
                    SET status = $1, epoch = epoch + $2, length = $3, lease_expire_time = $4,
                        update_time = $5
                  WHERE id = $6 AND epoch = $7 AND length = $8",
            )
            .bind(self.status.as_str())
            .bind(self.raise)
            .bind(end)
            .bind(self.until)
            .bind(StoredTime(self.now))
            .bind(self.saga)
            .bind(self.epoch)
            .bind(position)
            .execute()
            .await?;
        if held == 0 {
            return Err(Refused(LogError::Stale));
        }
        for (position, entry) in (position..).zip(entries) {
            conn.query(
                "INSERT INTO saga_entries (saga_id, position, create_time, entry)
                 VALUES ($1, $2, $3, $4)",
            )
            .bind(self.saga)
            .bind(position)
            .bind(StoredTime(self.now))
            .bind(entry)
            .execute()
            .await?;
        }
        Ok(())
    }

    /// Ends the lease of a running saga.
    async fn release(&self, conn: &mut Connection) -> Result<(), Refused> {
        let held = conn
            .query(
                "UPDATE sagas SET lease_expire_time = $1, update_time = $2
                  WHERE id = $3 AND epoch = $4 AND status = 'running'",
            )
            .bind(self.until)
            .bind(StoredTime(self.now))
            .bind(self.saga)
            .bind(self.epoch)
            .execute()
            .await?;
        if held == 0 { Err(Refused(LogError::Stale)) } else { Ok(()) }
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

/// A saga with one of its entries, if it has any.
#[derive(Debug, sqlx::FromRow)]
struct HistoryRow {
    #[sqlx(flatten)]
    saga: SagaRow,
    entry_time: Option<StoredTime>,
    entry: Option<String>,
}

impl HistoryRow {
    fn take_entry(&mut self) -> Option<EntryRow> {
        Some(EntryRow { create_time: self.entry_time?, entry: self.entry.take()? })
    }
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

/// Returns the entries of a saga, in order.
async fn entries(conn: &mut Connection, saga: Uuid) -> Result<Vec<EntryRow>, sqlx::Error> {
    conn.query("SELECT create_time, entry FROM saga_entries WHERE saga_id = $1 ORDER BY position")
        .bind(saga)
        .fetch_all()
        .await
}

/// Returns the entries as they are stored.
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
