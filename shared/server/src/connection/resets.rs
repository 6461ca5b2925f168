//! Limit of calls that a client resets soon after they began.
//!
//! The server has then read the headers, checked the limits and started the work. The peer has paid
//! nothing, not even one of its streams. h2 limits calls reset before a handler sees them
//! (CVE-2023-44487, "rapid reset"); this limits the rest. The rule is Envoy's: a connection is
//! closed if more than half of its calls are reset within their first second. Callers that hedge,
//! or that have short deadlines while the server is slow, usually reset fewer. If they exceed the
//! limit, they lose a connection but no call.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Age from which a reset call no longer counts: it occupied one of the client's streams.
const SOON: Duration = Duration::from_secs(1);

/// Calls of one connection, and its early resets.
#[derive(Debug)]
pub(crate) struct Resets {
    /// Maximum number of resets out of twice as many calls.
    max: u32,
    begun: AtomicU32,
    client_resets: AtomicU32,
}

impl Resets {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, begun: AtomicU32::new(0), client_resets: AtomicU32::new(0) }
    }

    /// Counts a new call. Returns `true` if too many recent ones were reset.
    pub(crate) fn begin(&self) -> bool {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let too_many = self.client_resets.load(Ordering::Relaxed) > self.max;
        // The result is certain: restart the count.
        if too_many || begun / 2 >= self.max {
            self.begun.store(0, Ordering::Relaxed);
            self.client_resets.store(0, Ordering::Relaxed);
        }
        too_many
    }

    /// Records that the client reset a call that began at `begun`.
    pub(crate) fn client_reset(&self, begun: Instant) {
        if begun.elapsed() < SOON {
            self.client_resets.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Returns true if the limit is reached during `calls` calls, of which one in `every` is
    /// answered.
    async fn hits_limit(calls: u32, every: u32, lasts: Duration) -> bool {
        let resets = Resets::new(100);
        let mut too_many = false;
        for n in 0..calls {
            let begun = Instant::now();
            too_many |= resets.begin();
            advance(lasts).await;
            if n % every != 0 {
                resets.client_reset(begun);
            }
        }
        too_many
    }

    #[tokio::test(start_paused = true)]
    async fn resets_of_more_than_half_of_the_calls_hit_the_limit() {
        let lasts = Duration::from_millis(2);
        assert!(hits_limit(1000, 1000, lasts).await);
        assert!(hits_limit(1000, 3, lasts).await);
        assert!(!hits_limit(100_000, 2, lasts).await);
        // Too few calls for the limit.
        assert!(!hits_limit(100, 1000, lasts).await);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_lasted_a_second_do_not_count() {
        assert!(!hits_limit(1000, 1000, Duration::from_secs(1)).await);
    }
}
