//! What a watch asks next and what it believes: pure, the time is passed in.
//!
//! The index of a blocking query, from Consul's documentation of blocking queries:
//! - an index that goes backwards (an agent restarted, a snapshot restored) is
//!   forgotten, and the next query is answered at once;
//! - an index below 1 counts as 1, since 0 does not block;
//! - an error says nothing about the index, whatever its header says: the next query
//!   is answered at once.
//!
//! An empty answer is not proof of an empty service: an agent that restarted without
//! its data answers `200 []` until instances have registered again, and one that kept
//! its data calls every instance critical until it has checked it. So where watchers
//! have endpoints, an empty answer is held back for a time after each failure and
//! each index that went backwards. Any other means that the last instance left.

use std::time::Duration;

use tokio::time::Instant;

use super::{pace::jittered, requests::Question};

/// The least to wait for a change while an empty answer is held.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// The state of one watch between two queries.
#[derive(Debug)]
pub(super) struct Follower {
    wait: Duration,
    hold: Duration,
    /// The index to ask with; 0 asks for an answer at once.
    index: u64,
    /// The index of the last answer.
    last: u64,
    /// Empty answers are not believed before.
    doubted_until: Instant,
    /// Whether the last answer was not believed.
    holding: bool,
}

/// What to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Tell the watchers.
    Tell,
    /// Keep what they have.
    Hold,
}

impl Follower {
    /// Waits for changes for about `wait`, and doubts empty answers for `hold`.
    pub(super) fn new(now: Instant, wait: Duration, hold: Duration) -> Self {
        Self { wait, hold, index: 0, last: 0, doubted_until: now, holding: false }
    }

    /// What to ask next; `random` is in 0..1 and spreads the waits.
    pub(super) fn question(&self, now: Instant, random: f64) -> Question {
        let wait = jittered(self.wait, random);
        let wait = if self.holding {
            wait.min((self.doubted_until - now).max(SHORTEST_WAIT))
        } else {
            wait
        };
        Question { index: self.index, wait }
    }

    /// Whether an answer with this index is of a later state than the last.
    pub(super) fn is_newer(&self, index: u64) -> bool {
        index > self.last
    }

    /// Consul answered with this index. `lost_all`: it names no endpoint, and watchers
    /// have some.
    pub(super) fn answered(&mut self, now: Instant, index: u64, lost_all: bool) -> Verdict {
        let backwards = index < self.last;
        self.last = index;
        self.index = if backwards { 0 } else { index.max(1) };

        if backwards {
            self.doubted_until = now + self.hold;
        }
        self.holding = lost_all && now < self.doubted_until;
        if self.holding { Verdict::Hold } else { Verdict::Tell }
    }

    /// Consul gave no answer, or one that is not to be used.
    pub(super) fn failed(&mut self, now: Instant) {
        self.index = 0;
        self.doubted_until = now + self.hold;
    }
}

#[cfg(test)]
mod tests;
