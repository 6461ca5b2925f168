//! Sending a call again before it has failed.

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
    /// `max_attempts` includes the first one; a `delay` of 0 sends all of them at once.
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

/// The attempts of one hedged call: further ones are sent while none has answered. Only
/// for calls that may be executed several times, and at the same time; instead of retrying.
///
/// The first good answer is the call's: whoever gets it drops the others. A failure that
/// could be retried brings the next attempt forward, or puts it off for as long as the
/// peer asks; a peer that asks not to be asked again, or is exhausted and does not say for
/// how long, ends the sending; any other failure is the call's. Further attempts are paid
/// from the retries' budget.
#[derive(Clone, Debug)]
pub struct Hedges {
    policy: HedgingPolicy,
    deadline: Deadline,
    sent: u32,
    failed: u32,
    /// Time of the next attempt, or the reason for making none.
    next: Result<Instant, GiveUp>,
    /// It stays with what `next` says.
    stopped: bool,
    /// Nothing more is awaited either.
    over: bool,
    /// The attempts made elsewhere because an endpoint did not know the method.
    elsewhere: u32,
}

impl Hedges {
    /// The first attempt is sent now.
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

    /// Returns the time at which to ask [`Self::due`]; `None` if nothing more is sent.
    pub fn next_at(&self) -> Option<Instant> {
        self.next.ok()
    }

    /// Returns why nothing more is sent; `None` while an attempt is planned.
    pub fn gave_up(&self) -> Option<GiveUp> {
        self.next.err()
    }

    /// Returns the number of attempts that were sent: what
    /// [`PREVIOUS_ATTEMPTS`](super::PREVIOUS_ATTEMPTS) says on the next one.
    pub fn sent(&self) -> u32 {
        self.sent
    }

    /// Returns true if no answer is awaited any more: the last failure is the call's, and attempts in flight
    /// are dropped.
    pub fn is_over(&self) -> bool {
        self.over || (self.next.is_err() && self.failed >= self.sent)
    }

    /// Returns true if another attempt is to be sent now. The budget is asked at this moment; if it does not
    /// allow one, nothing more is sent.
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

    /// Plans what follows a failed attempt. To be called once for each, after the budget was charged
    /// for it ([`Failure::costs`]).
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

    /// The endpoint does not know the method: see [`Attempts::elsewhere`](super::Attempts::elsewhere).
    pub fn elsewhere(&mut self) -> bool {
        self.elsewhere += 1;
        self.elsewhere < Policy::MOST_ATTEMPTS
    }

    /// An attempt that was due found no place: nothing more is sent, and the others are
    /// awaited.
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
