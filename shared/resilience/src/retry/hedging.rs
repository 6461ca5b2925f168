//! Hedging: further attempts before the first has failed.

use std::time::Duration;

use tokio::time::Instant;

use super::{Budget, Failure, GiveUp, InvalidPolicy, Policy};
use crate::deadline::Deadline;

/// Number of attempts of a hedged call, and the delay between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HedgingPolicy {
    max_attempts: u32,
    delay: Duration,
}

impl HedgingPolicy {
    /// Creates a policy. `max_attempts` includes the first one. A `delay` of 0 sends all of them at
    /// once.
    ///
    /// # Errors
    /// [`InvalidPolicy::Attempts`] unless there are 2 to 5 of them.
    pub fn try_new(max_attempts: u32, delay: Duration) -> Result<Self, InvalidPolicy> {
        if !(2..=Policy::MOST_ATTEMPTS).contains(&max_attempts) {
            return Err(InvalidPolicy::Attempts);
        }
        Ok(Self { max_attempts, delay })
    }
}

/// Attempts of one hedged call: further ones are sent while none has a response. Replaces retries,
/// and only for calls that may be executed several times and concurrently.
///
/// The first successful response is the call's, and its receiver drops the other attempts. A
/// retryable failure brings the next attempt forward, or postpones it by the peer's pushback. A
/// peer that rejects retries, or is exhausted without announcing for how long, ends the sending.
/// Any other failure is the call's. Further attempts are paid from the retry budget.
#[derive(Clone, Debug)]
pub struct Hedges {
    policy: HedgingPolicy,
    deadline: Deadline,
    sent: u32,
    failed: u32,
    /// Time of the next attempt, or the reason for making none.
    next: Result<Instant, GiveUp>,
    /// True if `next` is final.
    stopped: bool,
    /// True if no response is awaited any more.
    over: bool,
    /// Number of attempts sent elsewhere because an endpoint did not know the method.
    elsewhere: u32,
}

impl Hedges {
    /// Creates the state of a call whose first attempt is sent now.
    pub fn begin(policy: HedgingPolicy, deadline: Deadline, now: Instant) -> Self {
        let next = Err(GiveUp::AttemptsSpent);
        let mut hedges = Self {
            policy,
            deadline,
            sent: 1,
            failed: 0,
            next,
            stopped: false,
            over: false,
            elsewhere: 0,
        };
        hedges.plan(now, policy.delay);
        hedges
    }

    /// Returns the time of the next call of [`Self::due`]; `None` if nothing more is sent.
    pub fn next_at(&self) -> Option<Instant> {
        self.next.ok()
    }

    /// Returns the reason for sending nothing more; `None` while an attempt is planned.
    pub fn gave_up(&self) -> Option<GiveUp> {
        self.next.err()
    }

    /// Returns the number of attempts sent: the value of
    /// [`PREVIOUS_ATTEMPTS`](super::PREVIOUS_ATTEMPTS) on the next one.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Returns true if no response is awaited any more: the last failure is the call's, and
    /// attempts in flight are dropped.
    pub fn is_over(&self) -> bool {
        self.over || (self.next.is_err() && self.failed >= self.sent)
    }

    /// Returns true if another attempt must be sent now. If the budget does not allow it at this
    /// moment, nothing more is sent.
    pub fn due(&mut self, now: Instant, budget: &Budget) -> bool {
        if self.next.map_or(true, |next| now < next) {
            return false;
        }
        if !budget.allows() {
            self.stop(GiveUp::BudgetSpent);
            return false;
        }
        if self.deadline.left(now).is_none() {
            self.stop(GiveUp::NoTime { needed: Duration::ZERO });
            return false;
        }
        self.sent += 1;
        self.plan(now, self.policy.delay);
        true
    }

    /// Plans what follows a failed attempt. Call it once for each, after charging the budget for it
    /// ([`Failure::costs`]).
    pub fn failed(&mut self, now: Instant, failure: Failure) {
        self.failed += 1;
        match failure {
            Failure::Retryable { after } => self.plan(now, after.unwrap_or_default()),
            Failure::PushedBack => self.stop(GiveUp::PushedBack),
            Failure::Exhausted => self.stop(GiveUp::Final),
            Failure::Final => {
                self.stop(GiveUp::Final);
                self.over = true;
            }
        }
    }

    /// Records that the endpoint does not know the method; see
    /// [`Attempts::elsewhere`](super::Attempts::elsewhere).
    pub fn elsewhere(&mut self) -> bool {
        self.elsewhere += 1;
        self.elsewhere < Policy::MOST_ATTEMPTS
    }

    /// Records that a due attempt found no endpoint: nothing more is sent, and the other attempts
    /// are awaited.
    pub fn not_sent(&mut self) {
        self.sent -= 1;
        self.stop(GiveUp::Final);
    }

    fn plan(&mut self, now: Instant, after: Duration) {
        if self.stopped {
            return;
        }
        let in_time = self.deadline.left(now).is_some_and(|left| after < left);
        self.next = match (self.sent < self.policy.max_attempts, in_time) {
            (true, true) => Ok(now + after),
            (true, false) => Err(GiveUp::NoTime { needed: after }),
            (false, _) => Err(GiveUp::AttemptsSpent),
        };
    }

    fn stop(&mut self, why: GiveUp) {
        self.stopped = true;
        self.next = Err(why);
    }
}
