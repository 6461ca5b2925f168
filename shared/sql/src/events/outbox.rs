//! Outbox: events that wait to be published.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use async_trait::async_trait;
use gantry_events::{Aggregate, Event, Lag, Outbox, StoreError};
use uuid::Uuid;

use super::{rows::EventRow, store_error};
use crate::{
    Database, Purge, StorageError, TextList,
    query::{clock, pairs},
};

/// Purge of the events that were published seven days ago. The inbox of a consumer has none: it is small,
/// and a record that is gone would let a late duplicate take effect again.
pub const PUBLISHED: Purge = Purge {
    rows: "published events",
    kept: Duration::from_secs(7 * 24 * 60 * 60),
    statement: "DELETE FROM outbox WHERE position IN
        (SELECT position FROM outbox WHERE publish_time IS NOT NULL AND publish_time < $1
          ORDER BY publish_time LIMIT $2)",
};

/// Positions come from the index alone, however many events wait.
const UNPUBLISHED: &str =
    "SELECT outbox.aggregate, sequence, kind, schema, data, trace, request_id,
        create_time AS event_time
    FROM (SELECT position FROM outbox
           WHERE publish_time IS NULL AND NOT (aggregate = ANY($1))
           ORDER BY position LIMIT $2) AS page
    JOIN outbox ON outbox.position = page.position
    ORDER BY page.position";

const MARK: &str = concat!(
    "UPDATE outbox SET publish_time = ",
    clock!(),
    " WHERE publish_time IS NULL AND (aggregate, sequence) IN (",
    pairs!(),
    ")"
);

const IS_LEASED: &str = concat!(
    "SELECT EXISTS (SELECT 1 FROM leases
      WHERE name = 'relay' AND holder <> $1 AND expire_time > ",
    clock!(),
    ")"
);

const LEASE: &str = concat!(
    "INSERT INTO leases (name, holder, epoch, expire_time) VALUES ('relay', $1, 1, ",
    clock!(),
    " + $2) ON CONFLICT (name) DO UPDATE
        SET holder = excluded.holder, expire_time = excluded.expire_time,
            epoch = leases.epoch + CASE WHEN leases.holder = excluded.holder THEN 0 ELSE 1 END
      WHERE leases.holder = excluded.holder OR leases.expire_time <= ",
    clock!()
);

const RELEASE: &str = "UPDATE leases SET expire_time = 0 WHERE name = 'relay' AND holder = $1";

/// The order leads to the index: published events come first in the table.
const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM outbox
    WHERE publish_time IS NULL ORDER BY position LIMIT $1) AS counted";

const AGE: &str = concat!(
    "SELECT ",
    clock!(),
    " - create_time FROM outbox WHERE publish_time IS NULL ORDER BY position LIMIT 1"
);

const REPUBLISH: &str = "UPDATE outbox SET publish_time = NULL
    WHERE aggregate = $1 AND sequence >= $2 AND publish_time IS NOT NULL";

/// Outbox of a service, in a database that has the [`TABLES`](super::TABLES).
///
/// Each relay has one of its own: [`changed`](Outbox::changed) returns once for what was written since it
/// returned before.
#[derive(Debug)]
pub struct OutboxStore {
    database: Database,
    source: String,
    /// Number of writes that `changed` has returned for.
    seen: AtomicU64,
}

impl OutboxStore {
    /// Greatest number of events in a [`Lag`]. Counting more would cost too much.
    pub const MAX_LAG: u32 = 100_000;

    /// Opens the outbox of this database. `source` is the name of the service. If no other process can
    /// have the database open, the relay's lease ends: its holder is gone.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn open(database: Database, source: impl Into<String>) -> Result<Self, StorageError> {
        if !database.is_shared() {
            let ended: Result<u64, sqlx::Error> = database
                .write((), |conn, ()| {
                    let end = "UPDATE leases SET expire_time = 0 WHERE name = 'relay'";
                    Box::pin(conn.query(end).execute())
                })
                .await;
            ended?;
        }
        Ok(Self { database, source: source.into(), seen: AtomicU64::new(0) })
    }

    async fn page(&self, limit: i64, blocked: TextList) -> Result<Vec<Event>, StorageError> {
        let mut conn = self.database.reader().await?;
        let rows: Vec<EventRow> =
            conn.query(UNPUBLISHED).bind(blocked).bind(limit).fetch_all().await?;
        rows.into_iter().map(|row| row.event(self.source.clone())).collect()
    }

    async fn is_leased(&self, holder: Uuid) -> Result<bool, sqlx::Error> {
        self.database.reader().await?.query(IS_LEASED).bind(holder).fetch_value().await
    }

    async fn measure(&self) -> Result<Lag, sqlx::Error> {
        let mut conn = self.database.reader().await?;
        let most = i64::from(Self::MAX_LAG);
        let events: i64 = conn.query(COUNT).bind(most).fetch_value().await?;
        let age: Option<(i64,)> = conn.query(AGE).fetch_optional().await?;
        // A reader's transaction may have begun before the event's.
        let age = age.map_or(0, |(micros,)| micros.max(0)).unsigned_abs();
        Ok(Lag { events: events.unsigned_abs(), age: Duration::from_micros(age) })
    }
}

#[async_trait]
impl Outbox for OutboxStore {
    async fn unpublished(
        &self,
        limit: usize,
        blocked: &[Aggregate],
    ) -> Result<Vec<Event>, StoreError> {
        let blocked = TextList::new(blocked.iter().map(ToString::to_string));
        self.page(i64::try_from(limit).unwrap_or(i64::MAX), blocked).await.map_err(StoreError::new)
    }

    async fn mark_published(&self, events: &[Event]) -> Result<(), StoreError> {
        if events.is_empty() {
            return Ok(());
        }
        let pairs: Vec<_> =
            events.iter().map(|event| (event.aggregate.to_string(), event.sequence)).collect();
        let pairs = serde_json::to_string(&pairs).map_err(StoreError::new)?;
        let marked = self.database.write_locked(pairs, |conn, pairs| {
            Box::pin(conn.query(MARK).bind(pairs.as_str()).execute())
        });
        marked.await.map(drop).map_err(store_error)
    }

    async fn lease(&self, holder: Uuid, length: Duration) -> Result<bool, StoreError> {
        // A relay that waits for the lease asks often: that must not occupy a writer.
        if self.is_leased(holder).await.map_err(store_error)? {
            return Ok(false);
        }
        let length = i64::try_from(length.as_micros()).unwrap_or(i64::MAX);
        let leased = self.database.write_locked((), move |conn, ()| {
            Box::pin(conn.query(LEASE).bind(holder).bind(length).execute())
        });
        Ok(leased.await.map_err(store_error)? > 0)
    }

    async fn release(&self, holder: Uuid) -> Result<(), StoreError> {
        let released = self
            .database
            .write_locked((), move |conn, ()| Box::pin(conn.query(RELEASE).bind(holder).execute()));
        released.await.map(drop).map_err(store_error)
    }

    async fn changed(&self, timeout: Duration) {
        let mut writes = self.database.outbox_writes.subscribe();
        let seen = self.seen.load(Relaxed);
        let changed = writes.wait_for(|writes| *writes != seen);
        // The database that this value holds has the sender, so the channel is open.
        if let Ok(Ok(writes)) = tokio::time::timeout(timeout, changed).await {
            self.seen.store(*writes, Relaxed);
        }
    }

    async fn lag(&self) -> Result<Lag, StoreError> {
        self.measure().await.map_err(store_error)
    }

    async fn republish(&self, aggregate: &Aggregate, from: i64) -> Result<u64, StoreError> {
        let republished = self.database.write_locked(aggregate.to_string(), move |conn, of| {
            Box::pin(async move {
                let count = conn.query(REPUBLISH).bind(of.as_str()).bind(from).execute().await?;
                conn.writes_events();
                Ok(count)
            })
        });
        republished.await.map_err(store_error)
    }
}
