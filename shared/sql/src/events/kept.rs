//! Events that a consumer keeps: held ones and parked ones.

use gantry_events::Event;

use super::{place::Place, rows::EventRow};
use crate::{Connection, Query, StorageError, StoredTime, query::clock};

/// Columns of an event in `held_events` and `parked_events`.
macro_rules! event_columns {
    () => {
        "consumer, aggregate, sequence, source, kind, schema, data, trace, request_id, event_time"
    };
}

const HOLD: &str = concat!(
    "INSERT INTO held_events (",
    event_columns!(),
    ", create_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, ",
    clock!(),
    ") ON CONFLICT (consumer, aggregate, sequence) DO NOTHING"
);

/// The first cause stays.
const PARK: &str = concat!(
    "INSERT INTO parked_events (",
    event_columns!(),
    ", cause, create_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, ",
    clock!(),
    ") ON CONFLICT (consumer, aggregate, sequence)
       DO UPDATE SET cause = coalesce(parked_events.cause, excluded.cause)"
);

const FIRST_HELD: &str =
    "SELECT min(sequence) FROM held_events WHERE consumer = $1 AND aggregate = $2";

const HELD: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM held_events WHERE consumer = $1 AND aggregate = $2 AND sequence = $3"
);

const DROP_HELD: &str =
    "DELETE FROM held_events WHERE consumer = $1 AND aggregate = $2 AND sequence <= $3";

/// Moves held events behind the one that failed.
const PARK_HELD: &str = concat!(
    "INSERT INTO parked_events (",
    event_columns!(),
    ", create_time, cause) SELECT ",
    event_columns!(),
    ", create_time, NULL FROM held_events WHERE consumer = $1 AND aggregate = $2
     ON CONFLICT (consumer, aggregate, sequence) DO NOTHING"
);

const FIRST_PARKED: &str = concat!(
    "SELECT ",
    event_columns!(),
    " FROM parked_events WHERE consumer = $1 AND aggregate = $2 ORDER BY sequence LIMIT 1"
);

const DROP_PARKED: &str =
    "DELETE FROM parked_events WHERE consumer = $1 AND aggregate = $2 AND sequence <= $3";

/// Moves parked events to the held ones: a predecessor is missing.
const HOLD_PARKED: &str = concat!(
    "INSERT INTO held_events (",
    event_columns!(),
    ", create_time) SELECT ",
    event_columns!(),
    ", create_time FROM parked_events WHERE consumer = $1 AND aggregate = $2
     ON CONFLICT (consumer, aggregate, sequence) DO NOTHING"
);

/// An event in `held_events` or `parked_events`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct KeptRow {
    source: String,
    #[sqlx(flatten)]
    event: EventRow,
}

impl KeptRow {
    pub(super) fn event(self) -> Result<Event, StorageError> {
        self.event.event(self.source)
    }
}

/// Binds the columns of an event.
fn bind<'c>(query: Query<'c>, place: &Place<'_>, event: &Event) -> Query<'c> {
    query
        .bind(place.consumer)
        .bind(place.aggregate)
        .bind(event.sequence)
        .bind(event.source.as_str())
        .bind(event.kind.as_str())
        .bind(event.schema.as_str())
        .bind(event.data.as_ref())
        .bind(event.context.trace.clone())
        .bind(event.context.request_id.clone())
        .bind(StoredTime(event.time))
}

impl Place<'_> {
    /// Keeps an event until its predecessors arrive.
    pub(super) async fn hold(
        &self,
        conn: &mut Connection,
        event: &Event,
    ) -> Result<(), sqlx::Error> {
        bind(conn.query(HOLD), self, event).execute().await.map(drop)
    }

    /// Keeps an event that failed, or one behind it.
    pub(super) async fn keep_parked(
        &self,
        conn: &mut Connection,
        event: &Event,
        cause: Option<String>,
    ) -> Result<(), sqlx::Error> {
        bind(conn.query(PARK), self, event).bind(cause).execute().await.map(drop)
    }

    /// Returns the least sequence of the held events, without those that have taken effect, which
    /// are deleted.
    pub(super) async fn first_held(
        &self,
        conn: &mut Connection,
    ) -> Result<Option<i64>, sqlx::Error> {
        let first: Option<i64> = self.ask_first_held(conn).await?;
        if first.is_none_or(|first| first > self.sequence) {
            return Ok(first);
        }
        let drop = conn.query(DROP_HELD).bind(self.consumer).bind(self.aggregate);
        drop.bind(self.sequence).execute().await?;
        self.ask_first_held(conn).await
    }

    async fn ask_first_held(&self, conn: &mut Connection) -> Result<Option<i64>, sqlx::Error> {
        conn.query(FIRST_HELD).bind(self.consumer).bind(self.aggregate).fetch_value().await
    }

    /// Returns the held event that comes next.
    pub(super) async fn next_held(
        &self,
        conn: &mut Connection,
    ) -> Result<Option<Event>, StorageError> {
        let held = conn.query(HELD).bind(self.consumer).bind(self.aggregate);
        let row: Option<KeptRow> = held.bind(self.next()).fetch_optional().await?;
        row.map(KeptRow::event).transpose()
    }

    /// Moves the held events behind the one that failed.
    pub(super) async fn park_held(&self, conn: &mut Connection) -> Result<(), sqlx::Error> {
        let moved = conn.query(PARK_HELD).bind(self.consumer).bind(self.aggregate);
        if moved.execute().await? > 0 {
            let drop = conn.query(DROP_HELD).bind(self.consumer).bind(self.aggregate);
            drop.bind(i64::MAX).execute().await?;
        }
        Ok(())
    }

    /// Returns the first parked event.
    pub(super) async fn first_parked(
        &self,
        conn: &mut Connection,
    ) -> Result<Option<Event>, StorageError> {
        let first = conn.query(FIRST_PARKED).bind(self.consumer).bind(self.aggregate);
        let row: Option<KeptRow> = first.fetch_optional().await?;
        row.map(KeptRow::event).transpose()
    }

    /// Deletes the parked events that have taken effect.
    pub(super) async fn drop_parked(&self, conn: &mut Connection) -> Result<(), sqlx::Error> {
        let drop = conn.query(DROP_PARKED).bind(self.consumer).bind(self.aggregate);
        drop.bind(self.sequence).execute().await.map(std::mem::drop)
    }

    /// Moves the parked events to the held ones.
    pub(super) async fn hold_parked(&self, conn: &mut Connection) -> Result<(), sqlx::Error> {
        conn.query(HOLD_PARKED).bind(self.consumer).bind(self.aggregate).execute().await?;
        let drop = conn.query(DROP_PARKED).bind(self.consumer).bind(self.aggregate);
        drop.bind(i64::MAX).execute().await.map(std::mem::drop)
    }
}
