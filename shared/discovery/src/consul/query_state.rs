//! State of a watch between two blocking queries. Pure: the time is passed in.
//!
//! Rules for the index, from Consul's documentation of blocking queries:
//! - If the index decreases (an agent restarted, a snapshot was restored), it is reset to 0. The
//!   next query does not block.
//! - An index below 1 counts as 1, because a query with index 0 does not block.
//! - The index of an error answer is ignored. The next query does not block.
//!
//! An empty answer does not prove that the service is empty. An agent that restarted without its
//! data answers `200 []` until the instances have registered again. An agent that restarted with
//! its data considers every instance critical until it has checked it. Therefore, if watchers have
//! endpoints, empty answers are held back for a time after each failure and after each decreased
//! index. At any other time, an empty answer means that the last instance has left.

use std::time::Duration;

use tokio::time::Instant;

use super::{pace::jittered, requests::Query};

/// Shortest wait of a query while an empty answer is held back.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// State of a watch between two queries.
#[derive(Debug)]
pub(super) struct QueryState {
    wait: Duration,
    hold: Duration,
    /// Index of the next query. 0: the query does not block.
    index: u64,
    /// Index of the last answer.
    last: u64,
    /// Time until which empty answers are held back.
    doubted_until: Instant,
    /// True if the last answer was held back.
    holding: bool,
}

/// Decision about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Publish it to the watchers.
    Publish,
    /// Hold it back. Watchers keep their endpoints.
    Hold,
}

impl QueryState {
    /// Creates the state of a new watch. Queries block for about `wait`; empty answers are held
    /// back for `hold` after a failure.
    pub(super) fn new(now: Instant, wait: Duration, hold: Duration) -> Self {
        Self { wait, hold, index: 0, last: 0, doubted_until: now, holding: false }
    }

    /// Returns the next query. `random` is in 0..1 and spreads the waits.
    pub(super) fn next_query(&self, now: Instant, random: f64) -> Query {
        let wait = jittered(self.wait, random);
        let wait = if self.holding {
            wait.min((self.doubted_until - now).max(SHORTEST_WAIT))
        } else {
            wait
        };
        Query { index: self.index, wait }
    }

    /// Returns true if an answer with this index is newer than the last one.
    pub(super) fn is_newer(&self, index: u64) -> bool {
        index > self.last
    }

    /// Records an answer with this index. `lost_all` is true if the answer has no endpoint, but
    /// watchers have some.
    pub(super) fn answered(&mut self, now: Instant, index: u64, lost_all: bool) -> Decision {
        let backwards = index < self.last;
        self.last = index;
        self.index = if backwards { 0 } else { index.max(1) };

        if backwards {
            self.doubted_until = now + self.hold;
        }
        self.holding = lost_all && now < self.doubted_until;
        if self.holding { Decision::Hold } else { Decision::Publish }
    }

    /// Records a failed query or an unusable answer.
    pub(super) fn failed(&mut self, now: Instant) {
        self.index = 0;
        self.doubted_until = now + self.hold;
    }
}

#[cfg(test)]
mod tests;
