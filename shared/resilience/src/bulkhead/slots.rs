//! Slots of a bulkhead and its queue.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::config::Config;
use crate::deadline::Deadline;

/// Bulkhead. Clones share its slots.
#[derive(Clone, Debug)]
pub struct Bulkhead(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    slots: Arc<Semaphore>,
    /// Places in the queue.
    queue: Semaphore,
}

/// Slot of one call, returned when dropped.
#[derive(Debug)]
#[must_use = "a slot that is dropped is free for the next call"]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
}

/// Rejection of a call: nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{concurrent} calls to the dependency are in flight, which is the limit; waited {waited:?}{}",
    if *.late { ", until the deadline" } else { "" })]
pub struct Full {
    /// Number of slots.
    pub concurrent: u32,
    /// Time that the call waited for a slot.
    pub waited: Duration,
    /// True if the call's own deadline ended the wait.
    pub late: bool,
}

/// Snapshot of a bulkhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Calls under way.
    pub in_flight: u32,
    /// Waiting calls.
    pub waiting: u32,
}

impl Bulkhead {
    /// Creates a bulkhead with all slots free.
    pub fn new(config: Config) -> Self {
        let parameters = config.parameters();
        let waiting = parameters.wait.map_or(0, |wait| wait.calls);
        Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(parameters.concurrent as usize)),
            queue: Semaphore::new(waiting as usize),
            config,
        }))
    }

    /// Takes a slot if one is free and no call waits for it.
    ///
    /// # Errors
    /// [`Full`] otherwise.
    pub fn try_enter(&self) -> Result<Slot, Full> {
        match Arc::clone(&self.0.slots).try_acquire_owned() {
            Ok(permit) => Ok(Slot { _permit: permit }),
            Err(_) => Err(self.full(Duration::ZERO, false)),
        }
    }

    /// Takes a slot. With a queue configured, waits for one until the deadline at most, in turn.
    /// Dropping the future leaves the queue.
    ///
    /// # Errors
    /// [`Full`] if all slots are taken and there is no place or no time to wait.
    pub async fn enter(&self, deadline: Option<Deadline>) -> Result<Slot, Full> {
        let full = match self.try_enter() {
            Ok(slot) => return Ok(slot),
            Err(full) => full,
        };
        let Some(wait) = self.0.config.parameters().wait else {
            return Err(full);
        };
        let started = Instant::now();
        let until = Deadline::after(started, wait.longest).earlier(deadline);
        let late = deadline == Some(until);
        let Ok(_place) = self.0.queue.try_acquire() else {
            return Err(full);
        };
        let slot = Arc::clone(&self.0.slots).acquire_owned();
        match timeout_at(until.instant(), slot).await {
            Ok(Ok(permit)) => Ok(Slot { _permit: permit }),
            // The semaphore is never closed, so the second error does not occur.
            Err(_) | Ok(Err(_)) => Err(self.full(started.elapsed(), late)),
        }
    }

    /// Returns true if a call without a slot may wait for one.
    pub(super) fn waits(&self) -> bool {
        self.0.config.parameters().wait.is_some()
    }

    /// Returns the current counts.
    pub fn snapshot(&self) -> Snapshot {
        let parameters = self.0.config.parameters();
        let taken = |all: u32, free: usize| all.saturating_sub(free.try_into().unwrap_or(u32::MAX));
        Snapshot {
            in_flight: taken(parameters.concurrent, self.0.slots.available_permits()),
            waiting: taken(
                parameters.wait.map_or(0, |wait| wait.calls),
                self.0.queue.available_permits(),
            ),
        }
    }

    fn full(&self, waited: Duration, late: bool) -> Full {
        Full { concurrent: self.0.config.parameters().concurrent, waited, late }
    }
}
