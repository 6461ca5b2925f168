//! Saga log in memory, for tests. Keeps every guarantee of [`Log`] but durability.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{Append, Claimed, Entry, Log, LogError, NewSaga, Status};

/// Saga log in memory. Clones share it. Leases follow tokio's clock.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<BTreeMap<Uuid, Row>>>);

#[derive(Debug)]
struct Row {
    name: &'static str,
    input: String,
    status: Status,
    epoch: i64,
    leased_until: Option<Instant>,
    entries: Vec<Entry>,
}

impl MemoryLog {
    /// Writes a new saga. An existing saga of that id stays unchanged.
    pub fn begin(&self, saga: NewSaga) {
        let NewSaga { id, name, input } = saga;
        self.rows().entry(id).or_insert(Row {
            name,
            input,
            status: Status::Running,
            epoch: 0,
            leased_until: None,
            entries: Vec::new(),
        });
    }

    /// Returns the status of a saga, if it exists.
    pub fn status(&self, saga: Uuid) -> Option<Status> {
        self.rows().get(&saga).map(|row| row.status)
    }

    /// Returns the log of a saga; empty if it does not exist.
    pub fn entries(&self, saga: Uuid) -> Vec<Entry> {
        self.rows().get(&saga).map(|row| row.entries.clone()).unwrap_or_default()
    }

    fn rows(&self) -> MutexGuard<'_, BTreeMap<Uuid, Row>> {
        // No code that can panic runs while a row is being changed, so a poisoned map is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Row {
    fn holds(&self, epoch: i64) -> Result<(), LogError> {
        if self.epoch == epoch { Ok(()) } else { Err(LogError::Stale) }
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn claim(
        &self,
        name: &str,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = Instant::now();
        let mut rows = self.rows();
        let free = rows.iter_mut().filter(|(_, row)| {
            row.name == name
                && row.status == Status::Running
                && row.leased_until.is_none_or(|until| until <= now)
        });
        let claimed = free.take(limit).map(|(id, row)| {
            row.epoch += 1;
            row.leased_until = Some(now + lease);
            let (input, entries) = (row.input.clone(), row.entries.clone());
            Claimed { id: *id, input, epoch: row.epoch, entries }
        });
        Ok(claimed.collect())
    }

    async fn append(&self, append: Append<'_>) -> Result<(), LogError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&append.saga).ok_or(LogError::Stale)?;
        row.holds(append.epoch)?;
        if row.entries.len() != append.position {
            return Err(LogError::Unavailable("the position is not the log's end".into()));
        }
        row.entries.push(append.entry.clone());
        row.status = append.status;
        row.leased_until = Some(Instant::now() + append.lease);
        Ok(())
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        let mut rows = self.rows();
        let row = rows.get_mut(&saga).ok_or(LogError::Stale)?;
        row.holds(epoch)?;
        row.leased_until = Some(Instant::now() + pause);
        Ok(())
    }
}
