//! Calls that a client resets soon after it made them.
//!
//! Each costs the server its headers, its limits and the beginning of its work, and the
//! peer nothing: not even one of its streams. h2 counts those that no handler has seen yet
//! (CVE-2023-44487, "rapid reset"), and these are the others. It is Envoy's rule: a
//! connection of which more than half of the calls are reset within their first second
//! is closed. Callers that hedge, or whose deadlines are short while we are slow, take back
//! less than that, and where they do not, they lose a connection and no call.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Age from which a reset call has held one of the client's streams long enough.
const SOON: Duration = Duration::from_secs(1);

/// Calls of one connection, and how many of them its client reset.
#[derive(Debug)]
pub(crate) struct Resets {
    /// Most resets of twice as many calls.
    max: u32,
    begun: AtomicU32,
    client_resets: AtomicU32,
}

impl Resets {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, begun: AtomicU32::new(0), client_resets: AtomicU32::new(0) }
    }

    /// Notes that a call begins. Returns `true` if too many of the last ones were reset.
    pub(crate) fn begin(&self) -> bool {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let too_many = self.client_resets.load(Ordering::Relaxed) > self.max;
        // As soon as it is certain, and of all calls anew.
        if too_many || begun / 2 >= self.max {
            self.begun.store(0, Ordering::Relaxed);
            self.client_resets.store(0, Ordering::Relaxed);
        }
        too_many
    }

    /// Notes that the client reset a call that began at this time.
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

    /// Whether it was too much at any time; of each `every` calls one is answered.
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
    async fn more_than_half_of_the_calls_are_too_many_and_half_are_not() {
        let lasts = Duration::from_millis(2);
        assert!(hits_limit(1000, 1000, lasts).await);
        assert!(hits_limit(1000, 3, lasts).await);
        assert!(!hits_limit(100_000, 2, lasts).await);
        // Not as many yet.
        assert!(!hits_limit(100, 1000, lasts).await);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_lasted_a_second_do_not_count() {
        assert!(!hits_limit(1000, 1000, Duration::from_secs(1)).await);
    }
}
