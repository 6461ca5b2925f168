//! Log of a service's sagas.
//!
//! [`SagaLog`] is the adapter of [`gantry_saga::Log`]. Its tables are [`TABLES`]: a service that has
//! sagas names them in its [`Migrations`](crate::Migrations). [`begin`] writes a new saga in the unit
//! of work that makes it necessary.
//!
//! Times are those of the database's clock, which all replicas share. On PostgreSQL a lease ends by
//! time, and replicas that claim at the same time take different sagas. On SQLite no other process
//! has the file open, so opening the log ends all leases: their holders are gone.

mod purge;
mod rows;

use std::time::Duration;

use async_trait::async_trait;
use gantry_saga::{
    Append, Claimed, Count, Entry, Filter, History, Intervention, Log, LogError, NewSaga, Status,
    Summary,
};
use uuid::Uuid;

use self::rows::{Appended, CountRow, SagaRow};
use crate::{Connection, Database, SharedTables, StorageError, TextList, query::clock};

/// Tables of the log.
pub static TABLES: SharedTables = SharedTables {
    history: "_sqlx_saga_migrations",
    sqlite: sqlx::migrate!("migrations/sagas/sqlite"),
    postgres: sqlx::migrate!("migrations/sagas/postgres"),
};

/// Saga log in a database that has the [`TABLES`].
#[derive(Clone, Debug)]
pub struct SagaLog {
    database: Database,
}

/// Columns of a [`SagaRow`].
macro_rules! columns {
    () => {
        "id, name, input, context, status, epoch, length, create_time, update_time"
    };
}

impl SagaLog {
    /// Opens the saga log of this database. If no other process can have the database open, all
    /// leases end: their holders are gone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(database: Database) -> Result<Self, StorageError> {
        if !database.is_shared() {
            let ended: Result<u64, sqlx::Error> = database
                .write((), |conn, ()| {
                    let end = "UPDATE sagas SET lease_expire_time = 0 WHERE status = 'running'";
                    Box::pin(conn.query(end).execute())
                })
                .await;
            ended?;
        }
        Ok(Self { database })
    }

    /// Returns true if a saga of these names can be claimed.
    async fn any(&self, names: &TextList) -> Result<bool, sqlx::Error> {
        let mut conn = self.database.reader().await?;
        conn.query(concat!(
            "SELECT EXISTS (SELECT 1 FROM sagas
              WHERE status = 'running' AND name = ANY($1) AND lease_expire_time <= ",
            clock!(),
            ")"
        ))
        .bind(names.clone())
        .fetch_value()
        .await
    }
}

/// Writes a new saga, in the unit of work that makes it necessary.
///
/// # Errors
/// Error of the database, for example if a saga of that id exists.
pub async fn begin(conn: &mut Connection, saga: &NewSaga) -> Result<(), sqlx::Error> {
    let context = serde_json::to_string(&saga.context).map_err(encode)?;
    conn.query(concat!(
        "INSERT INTO sagas (id, name, input, context, status, epoch, length, lease_expire_time,
                            create_time, update_time)
         VALUES ($1, $2, $3, $4, 'running', 0, 0, ",
        clock!(),
        " + $5, ",
        clock!(),
        ", ",
        clock!(),
        ")"
    ))
    .bind(saga.id)
    .bind(saga.name)
    .bind(&saga.input)
    .bind(context)
    .bind(micros(saga.reserved))
    .execute()
    .await
    .map(drop)
}

/// Reads what was claimed.
async fn claimed(conn: &mut Connection, rows: Vec<SagaRow>) -> Result<Vec<Claimed>, sqlx::Error> {
    let mut claimed = Vec::with_capacity(rows.len());
    for row in rows {
        let appends = row.appends(conn).await?;
        let id = row.id;
        match row.claimed(appends) {
            Ok(saga) => claimed.push(saga),
            // Left out until its lease ends: it must not hold up the others.
            Err(error) => tracing::error!(saga = %id, %error, "saga log cannot be read"),
        }
    }
    Ok(claimed)
}

#[async_trait]
impl Log for SagaLog {
    async fn claim(
        &self,
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let names = TextList::new(names.iter().copied());
        // Polled every second, mostly in vain: that must not occupy a writer.
        if !self.any(&names).await.map_err(unavailable)? {
            return Ok(Vec::new());
        }
        let limit = number(limit);
        let lease = micros(lease);
        let claim = self.database.write_locked(names, move |conn, names| {
            Box::pin(async move {
                let rows: Vec<SagaRow> = conn
                    .query(CLAIM)
                    .bind(names.clone())
                    .bind(limit)
                    .bind(lease)
                    .fetch_all()
                    .await?;
                let mut claimed = claimed(conn, rows).await?;
                // The rows of an UPDATE have no order.
                claimed.sort_by_key(|saga| saga.id);
                Ok::<_, Refused>(claimed)
            })
        });
        Ok(claim.await?)
    }

    async fn claim_new(
        &self,
        sagas: &[Uuid],
        names: &[&str],
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let new = (sagas.to_vec(), TextList::new(names.iter().copied()));
        let lease = micros(lease);
        let claim = self.database.write_locked(new, move |conn, (sagas, names)| {
            Box::pin(async move {
                let mut rows: Vec<SagaRow> = Vec::with_capacity(sagas.len());
                for saga in sagas {
                    let claim = conn.query(CLAIM_NEW).bind(*saga).bind(names.clone()).bind(lease);
                    rows.extend(claim.fetch_optional().await?);
                }
                Ok::<_, Refused>(claimed(conn, rows).await?)
            })
        });
        Ok(claim.await?)
    }

    async fn append(&self, append: Append<'_>) -> Result<(), LogError> {
        let Append { saga, epoch, position, entries, status, lease } = append;
        let new = NewEntries::new(saga, epoch, position, entries, status)?;
        self.write(NewEntries { lease: micros(lease), ..new }).await
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        let pause = micros(pause);
        let released = self.database.write_locked((), move |conn, ()| {
            Box::pin(async move {
                let query = conn.query(RELEASE).bind(saga).bind(epoch).bind(pause);
                held(query.execute().await?)
            })
        });
        Ok(released.await?)
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError> {
        let Filter { status, before, limit } = filter;
        let mut conn = self.database.reader().await.map_err(unavailable)?;
        let query = match status {
            Some(status) => conn.query(LIST_BY_STATUS).bind(status.as_str()),
            None => conn.query(LIST),
        };
        // Every id comes before the greatest one.
        let query = query.bind(before.unwrap_or(Uuid::max())).bind(number(*limit));
        let rows: Vec<SagaRow> = query.fetch_all().await.map_err(unavailable)?;
        rows.into_iter().map(|row| row.summary().map_err(unavailable)).collect()
    }

    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError> {
        let mut conn = self.database.reader().await.map_err(unavailable)?;
        let row: Option<SagaRow> =
            conn.query(FIND).bind(saga).fetch_optional().await.map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        // Entries that are appended in between are in the history, and their epoch may not be. An
        // intervention by it is stale then, and is decided anew.
        let appends = Appended::of(&mut conn, saga).await.map_err(unavailable)?;
        row.history(appends).map(Some).map_err(unavailable)
    }

    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError> {
        let Intervention { saga, epoch, position, entry, status } = intervention;
        let new = NewEntries::new(saga, epoch, position, std::slice::from_ref(entry), status)?;
        self.write(NewEntries { raise: 1, ..new }).await
    }

    async fn count(&self) -> Result<Vec<Count>, LogError> {
        let mut conn = self.database.reader().await.map_err(unavailable)?;
        let rows: Vec<CountRow> = conn.query(COUNT).fetch_all().await.map_err(unavailable)?;
        rows.into_iter().map(|row| row.count().map_err(unavailable)).collect()
    }

    async fn purge(&self, kept: Duration, limit: usize) -> Result<usize, LogError> {
        let (kept, limit) = (micros(kept), number(limit));
        let purged = self
            .database
            .write_locked((), move |conn, ()| Box::pin(purge::purge(conn, kept, limit)));
        let purged: Result<u64, StorageError> = purged.await;
        Ok(usize::try_from(purged.map_err(unavailable)?).unwrap_or(usize::MAX))
    }
}

/// Locks the least ids, skipping those that another claimant has locked, and takes them if they are
/// still free. PostgreSQL may run a subquery with a limit more than once, but not `free`.
const CLAIM: &str = concat!(
    "WITH free AS MATERIALIZED (
         SELECT id FROM sagas
          WHERE status = 'running' AND name = ANY($1) AND lease_expire_time <= ",
    clock!(),
    "     ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
     UPDATE sagas SET epoch = epoch + 1, lease_expire_time = ",
    clock!(),
    " + $3
      WHERE id IN (SELECT id FROM free) AND status = 'running' AND lease_expire_time <= ",
    clock!(),
    " RETURNING ",
    columns!()
);

const CLAIM_NEW: &str = concat!(
    "UPDATE sagas SET epoch = epoch + 1, lease_expire_time = ",
    clock!(),
    " + $3
      WHERE id = $1 AND name = ANY($2) AND status = 'running' AND epoch = 0
     RETURNING ",
    columns!()
);

const RELEASE: &str = concat!(
    "UPDATE sagas SET lease_expire_time = ",
    clock!(),
    " + $3 WHERE id = $1 AND epoch = $2 AND status = 'running'"
);

const APPEND: &str = concat!(
    "UPDATE sagas
        SET status = $4, epoch = epoch + $5, length = length + $6,
            lease_expire_time = ",
    clock!(),
    " + $7, update_time = ",
    clock!(),
    " WHERE id = $1 AND epoch = $2 AND length = $3"
);

const INSERT: &str = concat!(
    "INSERT INTO saga_entries (saga_id, position, entries, create_time) VALUES ($1, $2, $3, ",
    clock!(),
    ")"
);

const COUNT: &str = "SELECT name, status, count(*) AS number FROM sagas
     WHERE status IN ('running', 'stuck') GROUP BY name, status";

const FIND: &str = concat!("SELECT ", columns!(), " FROM sagas WHERE id = $1");
const LIST: &str =
    concat!("SELECT ", columns!(), " FROM sagas WHERE id < $1 ORDER BY id DESC LIMIT $2");
const LIST_BY_STATUS: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM sagas WHERE status = $1 AND id < $2 ORDER BY id DESC LIMIT $3"
);

/// Entries to be written if the saga is still at this epoch and its log ends at this position.
struct NewEntries {
    saga: Uuid,
    epoch: i64,
    position: i64,
    /// Number of entries.
    count: i64,
    /// The entries, as they are stored.
    entries: String,
    status: Status,
    /// Added to the epoch.
    raise: i64,
    /// Duration of the new lease, in microseconds.
    lease: i64,
}

impl NewEntries {
    fn new(
        saga: Uuid,
        epoch: i64,
        position: usize,
        entries: &[Entry],
        status: Status,
    ) -> Result<Self, LogError> {
        let (position, count) = (number(position), number(entries.len()));
        let entries = serde_json::to_string(entries).map_err(|error| unavailable(encode(error)))?;
        Ok(Self { saga, epoch, position, count, entries, status, raise: 0, lease: 0 })
    }
}

impl SagaLog {
    async fn write(&self, new: NewEntries) -> Result<(), LogError> {
        let written = self.database.write_locked(new, |conn, new| {
            Box::pin(async move {
                let query = conn.query(APPEND).bind(new.saga).bind(new.epoch).bind(new.position);
                let query = query.bind(new.status.as_str()).bind(new.raise).bind(new.count);
                held(query.bind(new.lease).execute().await?)?;
                let query = conn.query(INSERT).bind(new.saga).bind(new.position);
                query.bind(&new.entries).execute().await?;
                Ok::<_, Refused>(())
            })
        });
        Ok(written.await?)
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

/// Returns an error if no row was at the writer's epoch and position.
fn held(rows: u64) -> Result<(), Refused> {
    if rows == 0 { Err(Refused(LogError::Stale)) } else { Ok(()) }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn encode(error: serde_json::Error) -> sqlx::Error {
    sqlx::Error::Encode(Box::new(error))
}

fn unavailable(error: impl Into<StorageError>) -> LogError {
    match error.into() {
        StorageError::OutcomeUnknown(cause) => LogError::OutcomeUnknown(cause),
        error => LogError::Unavailable(Box::new(error)),
    }
}
