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
//! its data answers `200 []`, and its instances need up to 10 s to register again. So
//! where watchers have endpoints, an empty answer is held back if its index went
//! backwards or a failure came before it; it is told once it has stayed empty for
//! the holding time. Any other empty answer means that the last instance left.

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
    doubt: Doubt,
}

/// Whether an empty answer would be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    /// It would.
    None,
    /// Consul failed since it last named an endpoint.
    Failed,
    /// It was not, and will be from then on.
    Holding { until: Instant },
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
    /// Waits for changes for about `wait`, holds doubtful empty answers for `hold`.
    pub(super) fn new(wait: Duration, hold: Duration) -> Self {
        Self { wait, hold, index: 0, last: 0, doubt: Doubt::None }
    }

    /// What to ask next; `random` is in 0..1 and spreads the waits.
    pub(super) fn question(&self, now: Instant, random: f64) -> Question {
        let wait = jittered(self.wait, random);
        let wait = match self.doubt {
            Doubt::Holding { until } => wait.min((until - now).max(SHORTEST_WAIT)),
            Doubt::None | Doubt::Failed => wait,
        };
        Question { index: self.index, wait }
    }

    /// Consul answered with this index. `lost_all`: it names no endpoint, and watchers
    /// have some.
    pub(super) fn answered(&mut self, now: Instant, index: u64, lost_all: bool) -> Verdict {
        let backwards = index < self.last;
        self.last = index;
        self.index = if backwards { 0 } else { index.max(1) };

        if !lost_all {
            self.doubt = Doubt::None;
            return Verdict::Tell;
        }
        let until = match self.doubt {
            Doubt::None if !backwards => return Verdict::Tell,
            Doubt::None | Doubt::Failed => now + self.hold,
            Doubt::Holding { until } => until,
        };
        if now < until {
            self.doubt = Doubt::Holding { until };
            Verdict::Hold
        } else {
            self.doubt = Doubt::None;
            Verdict::Tell
        }
    }

    /// Consul gave no answer, or one that is not to be used.
    pub(super) fn failed(&mut self) {
        self.index = 0;
        self.doubt = Doubt::Failed;
    }
}

#[cfg(test)]
mod tests;
