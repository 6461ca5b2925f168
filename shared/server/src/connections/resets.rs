//! Calls that a peer takes back soon after it made them.
//!
//! Each costs the server its headers, its limits and the beginning of its work, and the
//! peer nothing: not even one of its streams. h2 counts those that no handler has seen yet
//! (CVE-2023-44487, "rapid reset"), and these are the others. It is Envoy's rule: a
//! connection of which more than half of the calls are taken back within their first second
//! is closed. Callers that hedge, or whose deadlines are short while we are slow, take back
//! less than that, and where they do not, they lose a connection and no call.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// What is taken back later has held one of the peer's streams long enough.
const SOON: Duration = Duration::from_secs(1);

/// The calls of one connection.
#[derive(Debug)]
pub(crate) struct Resets {
    /// The most of twice as many.
    max: u32,
    begun: AtomicU32,
    taken_back: AtomicU32,
}

impl Resets {
    pub(crate) fn new(max: u32) -> Self {
        Self { max, begun: AtomicU32::new(0), taken_back: AtomicU32::new(0) }
    }

    /// Notes that a call begins. Whether too many of the last ones were taken back.
    pub(super) fn begin(&self) -> bool {
        let begun = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let too_many = self.taken_back.load(Ordering::Relaxed) > self.max;
        // As soon as it is certain, and of all calls anew.
        if too_many || begun / 2 >= self.max {
            self.begun.store(0, Ordering::Relaxed);
            self.taken_back.store(0, Ordering::Relaxed);
        }
        too_many
    }

    /// Notes that a call was taken back that began at this time.
    pub(super) fn taken_back(&self, begun: Instant) {
        if begun.elapsed() < SOON {
            self.taken_back.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Whether it was too much at any time; of each `every` calls one is answered.
    async fn restless(calls: u32, every: u32, lasts: Duration) -> bool {
        let resets = Resets::new(100);
        let mut too_many = false;
        for n in 0..calls {
            let begun = Instant::now();
            too_many |= resets.begin();
            advance(lasts).await;
            if n % every != 0 {
                resets.taken_back(begun);
            }
        }
        too_many
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_half_of_the_calls_are_too_many_and_half_are_not() {
        let lasts = Duration::from_millis(2);
        assert!(restless(1000, 1000, lasts).await);
        assert!(restless(1000, 3, lasts).await);
        assert!(!restless(100_000, 2, lasts).await);
        // Not as many yet.
        assert!(!restless(100, 1000, lasts).await);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_lasted_a_second_do_not_count() {
        assert!(!restless(1000, 1000, Duration::from_secs(1)).await);
    }
}
