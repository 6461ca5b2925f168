//! An operator's access to an inbox.

use std::time::Duration;

use gantry_events::{Aggregate, Event, HandlerError, StoreError};
use time::OffsetDateTime;

use super::{
    effect::{Effect, UnitError},
    inbox::Inbox,
    kept::KeptRow,
    place::Place,
    store_error,
};
use crate::{Connection, StorageError, StoredTime, query::clock};

/// First parked event of an aggregate.
#[derive(Clone, Debug)]
pub struct Parked {
    /// The event on which the effect failed.
    pub event: Event,
    /// Cause of the failure.
    pub cause: String,
    /// Time at which it was parked.
    pub park_time: OffsetDateTime,
    /// Number of events of the aggregate that wait behind it.
    pub waiting: u64,
}

/// Missing events of an aggregate, for which later ones are held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The aggregate.
    pub aggregate: Aggregate,
    /// Sequence of the first missing event.
    pub first: i64,
    /// Sequence of the last missing event.
    pub last: i64,
    /// Time since the first later event arrived.
    pub age: Duration,
}

/// Events that a consumer keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Number of parked aggregates.
    pub parked_aggregates: u64,
    /// Number of held events.
    pub held: u64,
    /// Age of the oldest gap. Zero if there is none.
    pub gap_age: Duration,
}

const PARKED: &str = "SELECT failed.aggregate, failed.sequence, failed.source, failed.kind,
        failed.schema, failed.data, failed.trace, failed.request_id, failed.event_time,
        failed.cause, failed.create_time,
        (SELECT count(*) FROM parked_events AS later
          WHERE later.consumer = failed.consumer AND later.aggregate = failed.aggregate
            AND later.sequence > failed.sequence) AS waiting
    FROM inbox
    JOIN parked_events AS failed
      ON failed.consumer = inbox.consumer AND failed.aggregate = inbox.aggregate
    WHERE inbox.consumer = $1 AND inbox.aggregate > $2 AND inbox.parked
      AND failed.sequence = (SELECT min(sequence) FROM parked_events AS first
           WHERE first.consumer = inbox.consumer AND first.aggregate = inbox.aggregate)
    ORDER BY inbox.aggregate LIMIT $3";

const GAPS: &str = concat!(
    "SELECT held_events.aggregate, inbox.sequence + 1, min(held_events.sequence) - 1, ",
    clock!(),
    " - min(held_events.create_time)
     FROM held_events
     JOIN inbox ON inbox.consumer = held_events.consumer
               AND inbox.aggregate = held_events.aggregate
    WHERE held_events.consumer = $1
    GROUP BY held_events.aggregate, inbox.sequence
   HAVING min(held_events.sequence) > inbox.sequence + 1
    ORDER BY min(held_events.create_time), held_events.aggregate LIMIT $2"
);

const COUNT_PARKED: &str = "SELECT count(*) FROM inbox WHERE consumer = $1 AND parked";

const COUNT_HELD: &str = concat!(
    "SELECT count(*), coalesce(",
    clock!(),
    " - min(create_time), 0) FROM held_events WHERE consumer = $1"
);

const JOIN: &str = concat!(
    "INSERT INTO joins (consumer, create_time) VALUES ($1, ",
    clock!(),
    ") ON CONFLICT (consumer) DO NOTHING"
);

const CLOSE: &str = "DELETE FROM joins WHERE consumer = $1";

/// Aggregates of which events are held and none took effect.
const UNKNOWN: &str = "SELECT aggregate FROM inbox
    WHERE consumer = $1 AND sequence = 0 AND NOT parked AND aggregate IN
        (SELECT aggregate FROM held_events WHERE consumer = $1)";

#[derive(Debug, sqlx::FromRow)]
struct ParkedRow {
    #[sqlx(flatten)]
    event: KeptRow,
    cause: Option<String>,
    create_time: StoredTime,
    waiting: i64,
}

impl<E: Effect> Inbox<E> {
    /// Returns parked aggregates by their name, those after `after`, at most `limit`.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn parked(
        &self,
        after: Option<&Aggregate>,
        limit: u32,
    ) -> Result<Vec<Parked>, StorageError> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let mut conn = self.database.reader().await?;
        let query = conn.query(PARKED).bind(&*self.consumer).bind(after);
        let rows: Vec<ParkedRow> = query.bind(i64::from(limit)).fetch_all().await?;
        let parked = |ParkedRow { event, cause, create_time, waiting }| {
            Ok(Parked {
                event: KeptRow::event(event)?,
                cause: cause.unwrap_or_default(),
                park_time: create_time.0,
                waiting: i64::unsigned_abs(waiting),
            })
        };
        rows.into_iter().map(parked).collect()
    }

    /// Returns gaps, the oldest first, at most `limit`. Have the publisher
    /// [`republish`](gantry_events::Outbox::republish) one that stays.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn gaps(&self, limit: u32) -> Result<Vec<Gap>, StorageError> {
        let mut conn = self.database.reader().await?;
        let query = conn.query(GAPS).bind(&*self.consumer).bind(i64::from(limit));
        let rows: Vec<(String, i64, i64, i64)> = query.fetch_all().await?;
        let gap = |(aggregate, first, last, age): (String, _, _, _)| {
            let aggregate = aggregate.parse().map_err(StorageError::corrupt)?;
            Ok(Gap { aggregate, first, last, age: micros(age) })
        };
        rows.into_iter().map(gap).collect()
    }

    /// Measures what the consumer keeps.
    ///
    /// # Errors
    /// [`StorageError`].
    pub async fn kept(&self) -> Result<Kept, StorageError> {
        let mut conn = self.database.reader().await?;
        let parked: i64 = conn.query(COUNT_PARKED).bind(&*self.consumer).fetch_value().await?;
        let held = conn.query(COUNT_HELD).bind(&*self.consumer);
        let (held, age): (i64, i64) = held.fetch_one().await?;
        Ok(Kept {
            parked_aggregates: parked.unsigned_abs(),
            held: held.unsigned_abs(),
            gap_age: micros(age),
        })
    }

    /// Applies the parked events of an aggregate in order, each in a transaction of its own. Returns
    /// their number. After the last one the aggregate is parked no more; if an event between them is
    /// missing, the later ones are held.
    ///
    /// # Errors
    /// [`HandlerError`] at the first event that fails again. It and the later ones stay parked, and
    /// those before it are applied.
    pub async fn replay(&self, aggregate: &Aggregate) -> Result<u64, HandlerError> {
        let mut applied = 0;
        loop {
            let state = (self.clone(), aggregate.to_string());
            let next = self.database.write_locked(state, |conn, (inbox, aggregate)| {
                Box::pin(inbox.replay_next(conn, aggregate))
            });
            if !next.await? {
                return Ok(applied);
            }
            applied += 1;
        }
    }

    /// Applies the first parked event. Returns false if none is left that can be applied.
    async fn replay_next(&self, conn: &mut Connection, aggregate: &str) -> Result<bool, UnitError> {
        let mut place = Place::lock(conn, &self.consumer, aggregate).await?;
        if !place.parked {
            return Ok(false);
        }
        place.drop_parked(conn).await?;
        let first = place.first_parked(conn).await?;
        if let Some(event) = &first
            && event.sequence == place.next()
        {
            self.apply(conn, &mut place, event).await?;
            place.drop_parked(conn).await?;
            return Ok(true);
        }
        if first.is_some() {
            place.hold_parked(conn).await?;
        }
        place.parked = false;
        place.write(conn).await?;
        Ok(false)
    }

    /// Declares that the consumer joins a running system: until [`close_join`](Self::close_join) an
    /// unknown aggregate may begin at any sequence. Those of which events are held begin at once.
    /// Repeating it is harmless. Returns the number of events that took effect.
    ///
    /// # Errors
    /// [`StoreError`]. Call it again.
    pub async fn join(&self) -> Result<u64, StoreError> {
        let joined = self.database.write_locked(self.consumer.clone(), |conn, consumer| {
            Box::pin(conn.query(JOIN).bind(&**consumer).execute())
        });
        joined.await.map_err(store_error)?;
        let unknown = async {
            let mut conn = self.database.reader().await?;
            conn.query(UNKNOWN).bind(&*self.consumer).fetch_all::<(String,)>().await
        };
        let mut applied = 0;
        for (name,) in unknown.await.map_err(store_error)? {
            let aggregate: Aggregate =
                name.parse().map_err(|error| StoreError::new(StorageError::corrupt(error)))?;
            self.begin(name).await.map_err(StoreError::new)?;
            match self.release(&aggregate).await {
                Ok(released) => applied += released,
                Err(HandlerError::Store(error)) => return Err(error),
                Err(HandlerError::Failed(cause)) => {
                    let parked = self.park_failed(&aggregate, None, &cause);
                    parked.await.map_err(StoreError::new)?;
                }
            }
        }
        Ok(applied)
    }

    /// Lets an unknown aggregate begin at its first held event.
    async fn begin(&self, aggregate: String) -> Result<(), StorageError> {
        let begun = self.database.write_locked((self.clone(), aggregate), |conn, (inbox, of)| {
            Box::pin(async move {
                let mut place = Place::lock(conn, &inbox.consumer, of).await?;
                let first = place.first_held(conn).await?;
                if let Some(first) = first
                    && place.sequence == 0
                    && !place.parked
                {
                    place.sequence = first - 1;
                    place.write(conn).await?;
                }
                Ok::<_, StorageError>(())
            })
        });
        begun.await
    }

    /// Declares that the consumer has joined: from now on an unknown aggregate begins at sequence 1.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn close_join(&self) -> Result<(), StoreError> {
        let closed = self.database.write_locked(self.consumer.clone(), |conn, consumer| {
            Box::pin(conn.query(CLOSE).bind(&**consumer).execute())
        });
        closed.await.map(drop).map_err(store_error)
    }
}

fn micros(micros: i64) -> Duration {
    // A reader's transaction may have begun before the one that wrote the time.
    Duration::from_micros(micros.max(0).unsigned_abs())
}
