//! State of one endpoint, shared by all of its calls.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    outliers::{Answers, Counts},
    sync::{AtomicU32, AtomicU64, Ordering},
};

/// One failure in the packed counts.
const FAILURE: u64 = 1 << 32;

/// Endpoint in the set of a [`Detector`](super::Detector), as long as it stays there.
///
/// All atomics are relaxed, since each is independent. Ejection happens under the set's lock; a
/// call that ends at the same moment may still count as before, which does no harm.
#[derive(Debug)]
pub struct Endpoint<K> {
    key: K,
    epoch: Instant,
    /// End of its ejection, in microseconds after the epoch; 0 if not ejected. Written under the
    /// set's lock only.
    until: AtomicU64,
    /// Consecutive failures.
    run: AtomicU32,
    /// Calls since the last comparison: failures in the upper half, successes in the lower. Neither
    /// overflows 32 bits within an interval.
    counts: AtomicU64,
    /// Consecutive refusals: a success ends the run.
    refused_run: AtomicU32,
    /// Refusals since the last comparison, which are successes in `counts`.
    refusals: AtomicU32,
}

impl<K> Endpoint<K> {
    pub(super) fn new(key: K, epoch: Instant) -> Self {
        Self {
            key,
            epoch,
            until: AtomicU64::new(0),
            run: AtomicU32::new(0),
            counts: AtomicU64::new(0),
            refused_run: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
        }
    }

    /// Returns its key within the set.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Returns true if the endpoint is ejected. Cheap: one atomic load.
    pub fn is_ejected(&self, now: Instant) -> bool {
        let until = self.until();
        until != 0 && micros(self.epoch, now) < until
    }

    pub(super) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    pub(super) fn eject(&self, until: u64) {
        self.until.store(until, Ordering::Relaxed);
        self.run.store(0, Ordering::Relaxed);
        self.refused_run.store(0, Ordering::Relaxed);
        self.take_counts();
    }

    pub(super) fn come_back(&self) {
        self.until.store(0, Ordering::Relaxed);
    }

    pub(super) fn succeeded(&self) {
        self.answered();
        if self.refused_run() != 0 {
            self.refused_run.store(0, Ordering::Relaxed);
        }
    }

    /// Records a refusal. Returns the number of consecutive ones.
    pub(super) fn refused(&self) -> u32 {
        self.answered();
        self.refusals.fetch_add(1, Ordering::Relaxed);
        self.refused_run.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    fn answered(&self) {
        self.counts.fetch_add(1, Ordering::Relaxed);
        if self.run() != 0 {
            self.run.store(0, Ordering::Relaxed);
        }
    }

    /// Records a failure. Returns the number of consecutive ones.
    pub(super) fn failed(&self) -> u32 {
        self.counts.fetch_add(FAILURE, Ordering::Relaxed);
        self.run.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    pub(super) fn run(&self) -> u32 {
        self.run.load(Ordering::Relaxed)
    }

    pub(super) fn refused_run(&self) -> u32 {
        self.refused_run.load(Ordering::Relaxed)
    }

    /// Returns the responses since the last comparison.
    pub(super) fn answers(&self) -> Answers {
        let refused = self.refusals.load(Ordering::Relaxed);
        let done = self.counts().successes.saturating_sub(refused);
        Answers { done: done.into(), refused: refused.into() }
    }

    pub(super) fn counts(&self) -> Counts {
        unpack(self.counts.load(Ordering::Relaxed))
    }

    pub(super) fn take_counts(&self) -> Counts {
        self.refusals.store(0, Ordering::Relaxed);
        unpack(self.counts.swap(0, Ordering::Relaxed))
    }
}

fn unpack(packed: u64) -> Counts {
    // Both halves are exactly 32 bits wide.
    Counts { successes: packed as u32, failures: (packed >> 32) as u32 }
}

/// Returns the microseconds from the epoch to `now`; 0 if `now` is earlier.
pub(super) fn micros(epoch: Instant, now: Instant) -> u64 {
    length(now.saturating_duration_since(epoch))
}

/// Returns a duration in microseconds. 64 bits hold half a million years.
pub(super) fn length(time: Duration) -> u64 {
    time.as_micros() as u64
}
