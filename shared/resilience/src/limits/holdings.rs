//! Amounts of something limited, by caller.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Locks, so that callers rarely wait for each other. A power of two.
const SHARDS: usize = 16;

/// Amounts that callers hold of something limited. A caller that holds nothing is unknown.
///
/// Callers are numbers that nobody can choose: hashes under a secret.
#[derive(Default)]
pub struct Holdings {
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
    callers: AtomicUsize,
}

impl Holdings {
    /// Nobody holds anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to what the caller holds if `grant` agrees, which is given the amount held so
    /// far. The caller's amount does not change meanwhile.
    ///
    /// # Errors
    /// Those of `grant`: nothing was added.
    pub fn try_add<T, E>(
        &self,
        caller: u64,
        amount: u64,
        grant: impl FnOnce(u64) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut shard = self.shard(caller);
        let held = shard.get(&caller).copied().unwrap_or_default();
        let granted = grant(held)?;
        if shard.insert(caller, held.saturating_add(amount)).is_none() {
            self.callers.fetch_add(1, Ordering::Relaxed);
        }
        Ok(granted)
    }

    /// Takes back what was added.
    pub fn remove(&self, caller: u64, amount: u64) {
        let mut shard = self.shard(caller);
        if let Some(held) = shard.get_mut(&caller) {
            *held = held.saturating_sub(amount);
            if *held == 0 {
                shard.remove(&caller);
                self.callers.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Returns the number of callers that hold something.
    pub fn len(&self) -> usize {
        self.callers.load(Ordering::Relaxed)
    }

    /// Returns whether nobody holds anything.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, caller: u64) -> MutexGuard<'_, HashMap<u64, u64>> {
        // Nothing panics while it is locked but `grant`, which leaves it as it was.
        self.shards[caller as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holdings").field("callers", &self.callers).finish_non_exhaustive()
    }
}
