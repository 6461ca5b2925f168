//! Decision after a failed attempt.

use std::{fmt, time::Duration};

use fastrand::Rng;
use http::HeaderName;
use tokio::time::Instant;

use super::{Budget, Failure, Policy};
use crate::deadline::Deadline;

/// Request header of a retry with the number of attempts before it.
pub const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// Attempts of one call.
#[derive(Clone, Debug)]
pub struct Attempts {
    policy: Policy,
    repeatable: bool,
    deadline: Deadline,
    failed: u32,
    /// Number of waits since the last pushback.
    waits: u32,
    refused: bool,
    /// Number of attempts sent elsewhere because an endpoint did not know the method.
    elsewhere: u32,
}

/// Decision after a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make another attempt after this time, preferably elsewhere.
    Retry {
        /// Wait before it.
        after: Duration,
    },
    /// Return the failure.
    GiveUp(GiveUp),
}

/// Reason for returning a failure instead of making another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GiveUp {
    /// Another attempt would not help.
    Final,
    /// The call may have been executed and must not be executed twice.
    NotRepeatable,
    /// The request was not kept to be sent again.
    NotKept {
        /// The longest request that is kept, in bytes.
        limit: usize,
    },
    /// The peer rejects retries.
    PushedBack,
    /// All attempts are made.
    AttemptsSpent,
    /// Too many calls to the service fail.
    BudgetSpent,
    /// The deadline would pass during the wait.
    NoTime {
        /// Length of the wait.
        needed: Duration,
    },
}

impl Attempts {
    /// Creates the state before the first attempt. `repeatable`: the call may be executed more than
    /// once, and its request can be sent again.
    pub fn new(policy: Policy, repeatable: bool, deadline: Deadline) -> Self {
        Self { policy, repeatable, deadline, failed: 0, waits: 0, refused: false, elsewhere: 0 }
    }

    /// Returns the number of failed attempts, excluding those that were certainly not executed: the
    /// value of [`PREVIOUS_ATTEMPTS`] on the next one, unless it is 0.
    pub fn previous(&self) -> u32 {
        self.failed
    }

    /// Records that the peer did not process the attempt (HTTP/2's REFUSED_STREAM, or a GOAWAY
    /// below its stream). Returns true the first time: the attempt is repeated at once, for every
    /// method and uncounted. After that it has failed, see [`Self::failed`].
    pub fn refused(&mut self) -> bool {
        !std::mem::replace(&mut self.refused, true)
    }

    /// Records that the endpoint does not know the method, so nothing was executed. Returns true if
    /// the call is repeated at once on an endpoint that has not had it, for every method and
    /// uncounted. The number of such attempts is bounded by [`Policy::MOST_ATTEMPTS`].
    pub fn elsewhere(&mut self) -> bool {
        self.elsewhere += 1;
        self.elsewhere < Policy::MOST_ATTEMPTS
    }

    /// Decides what follows a failed attempt. Call it once for each, after charging the budget for
    /// it ([`Failure::costs`]).
    pub fn failed(
        &mut self,
        now: Instant,
        failure: Failure,
        budget: &Budget,
        rng: &mut Rng,
    ) -> Decision {
        self.failed += 1;
        let pushback = match failure {
            Failure::Retryable { after } => after,
            Failure::PushedBack => return Decision::GiveUp(GiveUp::PushedBack),
            Failure::Exhausted | Failure::Final => return Decision::GiveUp(GiveUp::Final),
        };
        if !self.repeatable {
            return Decision::GiveUp(GiveUp::NotRepeatable);
        }
        if self.failed >= self.policy.max_attempts() {
            return Decision::GiveUp(GiveUp::AttemptsSpent);
        }
        if !budget.allows() {
            return Decision::GiveUp(GiveUp::BudgetSpent);
        }
        let after = match pushback {
            Some(after) => {
                self.waits = 0;
                after
            }
            None => {
                self.waits += 1;
                self.policy.backoff(self.waits - 1, rng)
            }
        };
        if self.deadline.left(now).is_none_or(|left| after >= left) {
            return Decision::GiveUp(GiveUp::NoTime { needed: after });
        }
        Decision::Retry { after }
    }
}

impl fmt::Display for GiveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final => f.write_str("another attempt would not help"),
            Self::NotRepeatable => {
                f.write_str("it may have been executed and must not be executed twice")
            }
            Self::NotKept { limit } => {
                write!(f, "its request streams or is longer than the {limit} bytes that are kept")
            }
            Self::PushedBack => f.write_str("the peer rejects retries"),
            Self::AttemptsSpent => f.write_str("all attempts were made"),
            Self::BudgetSpent => f.write_str("too many calls fail to retry any"),
            Self::NoTime { needed } => {
                write!(f, "too little time is left to wait {needed:?} for another attempt")
            }
        }
    }
}
