//! Outbox in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use uuid::Uuid;

use super::{Faults, event};
use crate::{Aggregate, Event, Lag, Outbox, StoreError};

/// Outbox in memory, for tests. Clones are the same database, with one script of faults.
#[derive(Clone, Debug, Default)]
pub struct MemoryOutbox {
    rows: Arc<Mutex<Rows>>,
    changed: Arc<Notify>,
    /// Fates of the next operations.
    pub faults: Faults,
}

#[derive(Debug, Default)]
struct Rows {
    /// Events by position, and whether they are published.
    events: Vec<(Event, bool, Instant)>,
    sequences: BTreeMap<Aggregate, i64>,
    lease: Option<(Uuid, Instant)>,
    /// Number of reads.
    reads: u64,
}

impl Rows {
    fn next_of(&mut self, aggregate: &Aggregate) -> i64 {
        let last = self.sequences.entry(aggregate.clone()).or_default();
        *last += 1;
        *last
    }

    fn waiting(&self) -> impl Iterator<Item = &(Event, bool, Instant)> {
        self.events.iter().filter(|(_, published, _)| !published)
    }
}

impl MemoryOutbox {
    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the next event of an aggregate, and wakes the relays of this process.
    pub fn write(&self, aggregate: &Aggregate) {
        self.write_elsewhere(aggregate);
        self.changed.notify_one();
    }

    /// Writes the next event of an aggregate as another process does, which wakes nobody.
    pub fn write_elsewhere(&self, aggregate: &Aggregate) {
        let mut rows = self.lock();
        let sequence = rows.next_of(aggregate);
        rows.events.push((event(aggregate, sequence), false, Instant::now()));
    }

    /// Returns all events.
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.iter().map(|(event, ..)| event.clone()).collect()
    }

    /// Returns the number of unpublished events.
    pub fn waiting(&self) -> usize {
        self.lock().waiting().count()
    }

    /// Returns the number of reads of unpublished events.
    pub fn reads(&self) -> u64 {
        self.lock().reads
    }

    /// Returns the holder of the lease.
    pub fn holder(&self) -> Option<Uuid> {
        let lease = self.lock().lease;
        lease.filter(|(_, until)| *until > Instant::now()).map(|(holder, _)| holder)
    }

    /// Gives the lease to another holder, whoever has it.
    pub fn steal_lease(&self, holder: Uuid, length: Duration) {
        self.lock().lease = Some((holder, Instant::now() + length));
    }
}

#[async_trait]
impl Outbox for MemoryOutbox {
    async fn unpublished(
        &self,
        limit: usize,
        blocked: &[Aggregate],
    ) -> Result<Vec<Event>, StoreError> {
        tokio::task::yield_now().await;
        self.faults.store(|| {
            let mut rows = self.lock();
            rows.reads += 1;
            let events = rows.waiting().map(|(event, ..)| event);
            let events = events.filter(|event| !blocked.contains(&event.aggregate));
            events.take(limit).cloned().collect()
        })
    }

    async fn mark_published(&self, events: &[Event]) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        self.faults.store(|| {
            let ids: Vec<_> = events.iter().map(Event::id).collect();
            for (event, published, _) in &mut self.lock().events {
                *published |= ids.contains(&event.id());
            }
        })
    }

    async fn lease(&self, holder: Uuid, length: Duration) -> Result<bool, StoreError> {
        tokio::task::yield_now().await;
        self.faults.store(|| {
            let now = Instant::now();
            let mut rows = self.lock();
            let is_free = rows.lease.is_none_or(|(by, until)| by == holder || until <= now);
            if is_free {
                rows.lease = Some((holder, now + length));
            }
            is_free
        })
    }

    async fn release(&self, holder: Uuid) -> Result<(), StoreError> {
        self.faults.store(|| {
            self.lock().lease.take_if(|(by, _)| *by == holder);
        })
    }

    async fn changed(&self, wait: Duration) {
        // No event in time is no error.
        let _ = timeout(wait, self.changed.notified()).await;
    }

    async fn lag(&self) -> Result<Lag, StoreError> {
        let rows = self.lock();
        let oldest = rows.waiting().map(|(_, _, at)| at.elapsed()).next();
        let events = rows.waiting().count().try_into().unwrap_or(u64::MAX);
        Ok(Lag { events, age: oldest.unwrap_or_default() })
    }

    async fn republish(&self, aggregate: &Aggregate, from: i64) -> Result<u64, StoreError> {
        self.faults.store(|| {
            let mut number = 0;
            for (event, published, _) in &mut self.lock().events {
                if event.aggregate == *aggregate && event.sequence >= from && *published {
                    *published = false;
                    number += 1;
                }
            }
            number
        })
    }
}
