//! Token buckets by key.

use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use quick_cache::sync::Cache;
use tokio::time::Instant;

use super::Rate;

/// Token buckets by key, at most about `most` of them. A new key has a full bucket.
pub struct Buckets<K> {
    /// Time at which the bucket of each key is full, in nanoseconds since the epoch.
    full_at: Cache<K, Arc<AtomicU64>>,
    epoch: Instant,
}

impl<K: Eq + Hash + Clone> Buckets<K> {
    /// Creates an empty set for about `most` keys.
    pub fn new(most: usize, now: Instant) -> Self {
        Self { full_at: Cache::new(most), epoch: now }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// Time until there is a token, if there is none.
    pub fn take(&self, key: &K, rate: Rate, now: Instant) -> Result<(), Duration> {
        let now = self.nanos(now);
        let latest = now.saturating_add(rate.full);
        let Ok(bucket) = self
            .full_at
            .get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
        // Relaxed: the time guards no other data.
        bucket
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |full_at| {
                let taken = full_at.max(now).saturating_add(rate.interval);
                (taken <= latest).then_some(taken)
            })
            .map(|_| ())
            .map_err(|full_at| {
                let taken = full_at.max(now).saturating_add(rate.interval);
                Duration::from_nanos(taken.saturating_sub(latest))
            })
    }

    /// Returns true if the bucket is full or was never used.
    pub fn is_full(&self, key: &K, now: Instant) -> bool {
        let now = self.nanos(now);
        self.full_at.get(key).is_none_or(|full_at| full_at.load(Ordering::Relaxed) <= now)
    }

    /// Returns the number of keys with a bucket.
    pub fn len(&self) -> usize {
        self.full_at.len()
    }

    /// Returns true if no key has a bucket.
    pub fn is_empty(&self) -> bool {
        self.full_at.is_empty()
    }

    fn nanos(&self, now: Instant) -> u64 {
        // Fits for 584 years.
        now.saturating_duration_since(self.epoch).as_nanos() as u64
    }
}

impl<K> fmt::Debug for Buckets<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buckets").finish_non_exhaustive()
    }
}
