//! Inbox: makes the events of a consumer take effect once and in order.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_events::{Aggregate, Event, Handled, Handler, HandlerError, StoreError};

use super::{
    effect::{Effect, UnitError},
    place::Place,
};
use crate::{Connection, Database, StorageError};

/// Handler of a consumer, in a database that has the [`TABLES`](super::TABLES).
///
/// An event is one transaction, which first locks the row of its aggregate. The event after the last one
/// is applied. An event that is not after it is a duplicate. One that leaves a gap is held, and follows
/// once the gap closes, in a transaction of its own. Behind an event that was parked all later ones of
/// the aggregate are parked; [`replay`](Self::replay) applies them.
///
/// Clones are the same consumer.
#[derive(Debug)]
pub struct Inbox<E> {
    pub(super) database: Database,
    pub(super) consumer: Arc<str>,
    effect: Arc<E>,
}

impl<E> Clone for Inbox<E> {
    fn clone(&self) -> Self {
        Self {
            database: self.database.clone(),
            consumer: self.consumer.clone(),
            effect: self.effect.clone(),
        }
    }
}

const JOINS: &str = "SELECT EXISTS (SELECT 1 FROM joins WHERE consumer = $1)";

/// Longest cause that is stored, in bytes.
const MAX_CAUSE: usize = 1024;

impl<E: Effect> Inbox<E> {
    /// Creates the inbox of a consumer. Another name is another consumer, for which every event is new.
    pub fn new(database: Database, consumer: impl Into<Arc<str>>, effect: E) -> Self {
        Self { database, consumer: consumer.into(), effect: Arc::new(effect) }
    }

    /// Applies held events of the aggregate while the next one is held. Returns their number.
    ///
    /// # Errors
    /// [`HandlerError`]. Those applied before stay applied.
    pub(super) async fn release(&self, aggregate: &Aggregate) -> Result<u64, HandlerError> {
        let mut released = 0;
        loop {
            let state = (self.clone(), aggregate.to_string());
            let next = self.database.write_locked(state, |conn, (inbox, aggregate)| {
                Box::pin(inbox.release_next(conn, aggregate))
            });
            let Some(more) = next.await? else { return Ok(released) };
            released += 1;
            if !more {
                return Ok(released);
            }
        }
    }

    /// Applies the next event, if it is held. Returns whether the one after it is held too.
    async fn release_next(
        &self,
        conn: &mut Connection,
        aggregate: &str,
    ) -> Result<Option<bool>, UnitError> {
        let mut place = Place::lock(conn, &self.consumer, aggregate).await?;
        if place.parked {
            return Ok(None);
        }
        let Some(event) = place.next_held(conn).await? else { return Ok(None) };
        self.apply(conn, &mut place, &event).await.map(Some)
    }

    /// Applies the event after the last one. Returns true if the one after it is held.
    pub(super) async fn apply(
        &self,
        conn: &mut Connection,
        place: &mut Place<'_>,
        event: &Event,
    ) -> Result<bool, UnitError> {
        self.effect.apply(conn, event).await.map_err(UnitError::Effect)?;
        place.sequence = event.sequence;
        place.write(conn).await?;
        Ok(place.first_held(conn).await? == Some(place.next()))
    }

    /// Handles a delivered event. Returns beside the result whether the next one is held.
    async fn take(
        &self,
        conn: &mut Connection,
        aggregate: &str,
        event: &Event,
    ) -> Result<(Handled, bool), UnitError> {
        let mut place = Place::lock(conn, &self.consumer, aggregate).await?;
        if event.sequence <= place.sequence {
            // The consumer may have ended before it released what was held.
            let is_next_held = !place.parked && place.first_held(conn).await? == Some(place.next());
            return Ok((Handled::Duplicate, is_next_held));
        }
        if place.parked {
            place.keep_parked(conn, event, None).await?;
            return Ok((Handled::Parked, false));
        }
        if event.sequence > place.next() && place.sequence == 0 && self.joins(conn).await? {
            let first = place.first_held(conn).await?.unwrap_or(event.sequence);
            place.sequence = first.min(event.sequence) - 1;
            place.write(conn).await?;
        }
        if event.sequence > place.next() {
            place.hold(conn, event).await?;
            let is_next_held = place.first_held(conn).await? == Some(place.next());
            return Ok((Handled::Held, is_next_held));
        }
        let is_next_held = self.apply(conn, &mut place, event).await?;
        Ok((Handled::Applied { released: 0 }, is_next_held))
    }

    /// Returns true if the consumer joins a running system.
    async fn joins(&self, conn: &mut Connection) -> Result<bool, sqlx::Error> {
        conn.query(JOINS).bind(&*self.consumer).fetch_value().await
    }

    /// Parks the event on which the effect fails, and the later ones of its aggregate. Without an event,
    /// or after it has taken effect, it is the next one that is held.
    pub(super) async fn park_failed(
        &self,
        aggregate: &Aggregate,
        event: Option<&Event>,
        cause: &str,
    ) -> Result<(), StorageError> {
        let state = (self.clone(), aggregate.to_string(), event.cloned(), stored(cause));
        let parked = self.database.write_locked(state, |conn, (inbox, aggregate, event, cause)| {
            Box::pin(async move {
                let mut place = Place::lock(conn, &inbox.consumer, aggregate).await?;
                let failed = event.clone().filter(|event| event.sequence > place.sequence);
                let failed = match failed {
                    None if place.parked => None,
                    None => place.next_held(conn).await?,
                    failed => failed,
                };
                let Some(failed) = failed else { return Ok(()) };
                // Behind a parked one it fails as a consequence, or has not been tried.
                let cause = if place.parked { None } else { Some(cause.clone()) };
                if !place.parked {
                    place.parked = true;
                    place.write(conn).await?;
                    place.park_held(conn).await?;
                }
                place.keep_parked(conn, &failed, cause).await?;
                Ok::<_, StorageError>(())
            })
        });
        parked.await
    }
}

#[async_trait]
impl<E: Effect> Handler for Inbox<E> {
    async fn handle(&self, event: &Event) -> Result<Handled, HandlerError> {
        let state = (self.clone(), event.aggregate.to_string(), event.clone());
        let taken = self.database.write_locked(state, |conn, (inbox, aggregate, event)| {
            Box::pin(inbox.take(conn, aggregate, event))
        });
        let (handled, is_next_held) = taken.await?;
        if !is_next_held {
            return Ok(handled);
        }
        // The delivery is not settled yet: if this fails or is dropped, it comes again, as a duplicate.
        let released = self.release(&event.aggregate).await?;
        Ok(match handled {
            Handled::Applied { .. } => Handled::Applied { released },
            handled => handled,
        })
    }

    async fn park(&self, event: &Event, cause: &str) -> Result<(), StoreError> {
        self.park_failed(&event.aggregate, Some(event), cause).await.map_err(StoreError::new)
    }
}

/// Returns the cause as it is stored: cut, and without the character that PostgreSQL has in no text.
fn stored(cause: &str) -> String {
    cause[..cause.floor_char_boundary(MAX_CAUSE)].replace('\0', "\u{fffd}")
}
