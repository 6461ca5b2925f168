//! Amounts of a limited resource, by caller.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Number of locks, to keep contention low. A power of two.
const SHARDS: usize = 16;

/// Amounts of a limited resource that callers hold. A caller without any has no entry.
///
/// Callers are identified by hashes under a secret, so that they cannot choose them.
#[derive(Default)]
pub struct Holdings {
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
    callers: AtomicUsize,
}

impl Holdings {
    /// Creates an empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an amount if `grant` agrees. `grant` gets the amount held so far, which does not change
    /// meanwhile.
    ///
    /// # Errors
    /// The error of `grant`; then nothing is added.
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

    /// Subtracts an amount that was added.
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

    /// Returns the number of callers that hold an amount.
    pub fn len(&self) -> usize {
        self.callers.load(Ordering::Relaxed)
    }

    /// Returns true if no caller holds an amount.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, caller: u64) -> MutexGuard<'_, HashMap<u64, u64>> {
        // Only `grant` can panic while it is locked, and then nothing has changed.
        self.shards[caller as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holdings").field("callers", &self.callers).finish_non_exhaustive()
    }
}
