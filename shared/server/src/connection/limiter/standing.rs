//! Standing of a connection: the rank of its peer, and its idle time.

use std::{
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::source::Source;

/// Rank of a connection's peer, from its completed calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Rank {
    /// Completed no call.
    Unproven,
    /// Completed a call, so it speaks gRPC.
    Anonymous,
    /// Made an authenticated call.
    Proven,
}

#[derive(Debug)]
pub(crate) struct Standing {
    pub(super) id: u64,
    pub(super) source: Source,
    pub(super) exempt: bool,
    rank: AtomicU8,
    calls: AtomicU32,
    /// Number of `calls` that are of health or reflection.
    infrastructure: AtomicU32,
    opened: Instant,
    /// End of the last call, in milliseconds after `opened`.
    idle_since: AtomicU64,
    closing: CancellationToken,
}

impl Standing {
    pub(super) fn new(id: u64, source: Source, exempt: bool, now: Instant) -> Self {
        Self {
            id,
            source,
            exempt,
            // Exempt peers forward the connections of many sources and need no proof.
            rank: AtomicU8::new(if exempt { Rank::Proven } else { Rank::Unproven } as u8),
            calls: AtomicU32::new(0),
            infrastructure: AtomicU32::new(0),
            opened: now,
            idle_since: AtomicU64::new(0),
            closing: CancellationToken::new(),
        }
    }

    /// Returns true if it has not completed a call.
    pub(crate) fn is_unproven(&self) -> bool {
        self.rank.load(Ordering::Relaxed) == Rank::Unproven as u8
    }

    pub(crate) fn is_proven(&self) -> bool {
        self.rank.load(Ordering::Relaxed) == Rank::Proven as u8
    }

    pub(super) fn rank(&self) -> Rank {
        match self.rank.load(Ordering::Relaxed) {
            0 => Rank::Unproven,
            1 => Rank::Anonymous,
            _ => Rank::Proven,
        }
    }

    pub(super) fn set_rank(&self, rank: Rank) {
        self.rank.store(rank as u8, Ordering::Relaxed);
    }

    /// Records the start of a call.
    pub(crate) fn begin_call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Records the end of a call.
    pub(crate) fn end_call(&self) {
        if self.calls.load(Ordering::Relaxed) == 1 {
            let since = self.opened.elapsed().as_millis();
            self.idle_since.store(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        self.calls.fetch_sub(1, Ordering::Release);
    }

    /// Records the start of a call of health or reflection, in addition to that of the call.
    /// Returns the number of others that are open.
    pub(crate) fn begin_infrastructure(&self) -> u32 {
        self.infrastructure.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn end_infrastructure(&self) {
        self.infrastructure.fetch_sub(1, Ordering::Relaxed);
    }

    /// Like [`idle_since`](Self::idle_since), but ignores calls of health and reflection. They cost
    /// the peer nothing and may last for ever, so they must not protect a connection.
    pub(super) fn useless_since(&self) -> Option<Instant> {
        let calls = self.calls.load(Ordering::Acquire);
        (calls <= self.infrastructure.load(Ordering::Relaxed)).then(|| self.last_end())
    }

    /// Returns the end of the last call, or the opening without one; None while a call is in
    /// flight.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        (self.calls.load(Ordering::Acquire) == 0).then(|| self.last_end())
    }

    fn last_end(&self) -> Instant {
        self.opened + Duration::from_millis(self.idle_since.load(Ordering::Relaxed))
    }

    /// Waits until the connection was idle for `timeout`.
    pub(crate) async fn idle_for(&self, timeout: Duration) {
        loop {
            let now = Instant::now();
            // A call that ends during the sleep ends later than now.
            let due = self.idle_since().unwrap_or(now) + timeout;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Cancelled when the connection is closed for another one.
    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.closing
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(300);

    #[tokio::test(start_paused = true)]
    async fn idle_time_counts_from_the_end_of_the_last_call() {
        let standing = Standing::new(0, Source::V4(0), false, Instant::now());
        let opened = Instant::now();
        let calls = async {
            sleep(Duration::from_secs(299)).await;
            standing.begin_call();
            standing.begin_call();
            sleep(Duration::from_secs(1000)).await;
            standing.end_call();
            assert_eq!(standing.idle_since(), None);
            sleep(Duration::from_secs(1)).await;
            standing.end_call();
        };
        tokio::join!(standing.idle_for(TIMEOUT), calls);
        assert_eq!(opened.elapsed().as_secs(), 299 + 1000 + 1 + 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_call_is_idle_from_its_opening() {
        let standing = Standing::new(0, Source::V4(0), false, Instant::now());
        advance(Duration::from_secs(100)).await;
        standing.idle_for(TIMEOUT).await;
        assert_eq!(standing.opened.elapsed().as_secs(), 300);
    }
}
