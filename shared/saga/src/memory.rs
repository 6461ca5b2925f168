//! Saga log in memory, for tests. Keeps every guarantee of [`Log`] except durability.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    Append, Claimed, Context, Count, Entry, Filter, History, Intervention, Log, LogError, NewSaga,
    Recorded, Status, Summary,
};

/// Saga log in memory. Clones share it. Times and leases follow tokio's clock; its first use is
/// the beginning of 1970.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    epoch: Instant,
    sagas: BTreeMap<Uuid, Row>,
}

#[derive(Debug)]
struct Row {
    name: &'static str,
    input: String,
    context: Context,
    status: Status,
    epoch: i64,
    leased_until: Option<Instant>,
    entries: Vec<(Instant, Entry)>,
    create_time: Instant,
    update_time: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self { epoch: Instant::now(), sagas: BTreeMap::new() }
    }
}

impl MemoryLog {
    /// Writes a new saga. An existing saga of that id stays unchanged.
    pub fn begin(&self, saga: NewSaga) {
        let NewSaga { id, name, input, context, reserved } = saga;
        let now = Instant::now();
        self.state().sagas.entry(id).or_insert(Row {
            name,
            input,
            context,
            status: Status::Running,
            epoch: 0,
            leased_until: Some(now + reserved),
            entries: Vec::new(),
            create_time: now,
            update_time: now,
        });
    }

    /// Returns the status of a saga, if it exists.
    pub fn status(&self, saga: Uuid) -> Option<Status> {
        self.state().sagas.get(&saga).map(|row| row.status)
    }

    /// Returns the log of a saga; empty if it does not exist.
    pub fn entries(&self, saga: Uuid) -> Vec<Entry> {
        self.state().sagas.get(&saga).map(Row::entries).unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change of a row can panic halfway, so the map is consistent even if the lock is
        // poisoned.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the row of a saga at this epoch, and at this position if there is one.
    fn change(
        &self,
        saga: Uuid,
        epoch: i64,
        position: Option<usize>,
        change: impl FnOnce(&mut Row, Instant),
    ) -> Result<(), LogError> {
        let mut state = self.state();
        let row = state.sagas.get_mut(&saga).ok_or(LogError::Stale)?;
        if row.epoch != epoch || position.is_some_and(|position| position != row.entries.len()) {
            return Err(LogError::Stale);
        }
        let now = Instant::now();
        row.update_time = now;
        change(row, now);
        Ok(())
    }
}

impl State {
    fn time(&self, at: Instant) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + at.saturating_duration_since(self.epoch)
    }

    fn summary(&self, id: Uuid, row: &Row) -> Summary {
        Summary {
            id,
            name: row.name.to_owned(),
            status: row.status,
            context: row.context.clone(),
            create_time: self.time(row.create_time),
            update_time: self.time(row.update_time),
        }
    }
}

impl Row {
    fn claim(&mut self, id: Uuid, leased_until: Instant) -> Claimed {
        self.epoch += 1;
        self.leased_until = Some(leased_until);
        Claimed {
            id,
            name: self.name.to_owned(),
            input: self.input.clone(),
            context: self.context.clone(),
            epoch: self.epoch,
            entries: self.entries(),
        }
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries.iter().map(|(_, entry)| entry.clone()).collect()
    }
}

#[async_trait]
impl Log for MemoryLog {
    async fn claim(
        &self,
        names: &[&str],
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = Instant::now();
        let mut state = self.state();
        let free = state.sagas.iter_mut().filter(|(_, row)| {
            names.contains(&row.name)
                && row.status == Status::Running
                && row.leased_until.is_none_or(|until| until <= now)
        });
        Ok(free.take(limit).map(|(id, row)| row.claim(*id, now + lease)).collect())
    }

    async fn claim_new(
        &self,
        sagas: &[Uuid],
        names: &[&str],
        lease: Duration,
    ) -> Result<Vec<Claimed>, LogError> {
        let now = Instant::now();
        let mut state = self.state();
        let new = state.sagas.iter_mut().filter(|(id, row)| {
            sagas.contains(id)
                && names.contains(&row.name)
                && row.status == Status::Running
                && row.epoch == 0
        });
        Ok(new.map(|(id, row)| row.claim(*id, now + lease)).collect())
    }

    async fn append(&self, append: Append<'_>) -> Result<(), LogError> {
        let Append { saga, epoch, position, entries, status, lease } = append;
        self.change(saga, epoch, Some(position), |row, now| {
            row.entries.extend(entries.iter().map(|entry| (now, entry.clone())));
            row.status = status;
            row.leased_until = Some(now + lease);
        })
    }

    async fn release(&self, saga: Uuid, epoch: i64, pause: Duration) -> Result<(), LogError> {
        self.change(saga, epoch, None, |row, now| row.leased_until = Some(now + pause))
    }

    async fn list(&self, filter: &Filter) -> Result<Vec<Summary>, LogError> {
        let state = self.state();
        let selected = state.sagas.iter().rev().filter(|(id, row)| {
            filter.status.is_none_or(|status| status == row.status)
                && filter.before.is_none_or(|before| **id < before)
        });
        Ok(selected.take(filter.limit).map(|(id, row)| state.summary(*id, row)).collect())
    }

    async fn find(&self, saga: Uuid) -> Result<Option<History>, LogError> {
        let state = self.state();
        Ok(state.sagas.get(&saga).map(|row| History {
            summary: state.summary(saga, row),
            input: row.input.clone(),
            epoch: row.epoch,
            entries: row
                .entries
                .iter()
                .map(|(at, entry)| Recorded { time: state.time(*at), entry: entry.clone() })
                .collect(),
        }))
    }

    async fn intervene(&self, intervention: Intervention<'_>) -> Result<(), LogError> {
        let Intervention { saga, epoch, position, entry, status } = intervention;
        self.change(saga, epoch, Some(position), |row, now| {
            row.entries.push((now, entry.clone()));
            row.status = status;
            row.epoch += 1;
            row.leased_until = None;
        })
    }

    async fn count(&self) -> Result<Vec<Count>, LogError> {
        let mut numbers = BTreeMap::<_, u64>::new();
        for row in self.state().sagas.values() {
            *numbers.entry((row.name, row.status.as_str())).or_default() += 1;
        }
        let count = |((name, status), number): ((&str, _), _)| {
            let status = Status::parse(status)?;
            let is_open = matches!(status, Status::Running | Status::Stuck);
            is_open.then(|| Count { name: name.to_owned(), status, number })
        };
        Ok(numbers.into_iter().filter_map(count).collect())
    }

    async fn purge(&self, kept: Duration, limit: usize) -> Result<usize, LogError> {
        let now = Instant::now();
        let mut state = self.state();
        let ended = state.sagas.iter().filter(|(_, row)| {
            matches!(row.status, Status::Completed | Status::Undone)
                && now.saturating_duration_since(row.update_time) >= kept
        });
        let ended: Vec<_> = ended.map(|(id, _)| *id).take(limit).collect();
        for id in &ended {
            state.sagas.remove(id);
        }
        Ok(ended.len())
    }
}
