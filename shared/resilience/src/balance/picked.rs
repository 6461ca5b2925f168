//! A call in flight.

use std::fmt;

use tokio::time::Instant;

use super::{balancer::Candidate, load::Outcome};

/// Picked member with a call in flight until this is dropped.
pub struct Picked<T: Candidate> {
    member: T,
    started: Instant,
    /// Assumed time of an unknown member, in seconds.
    unknown: f32,
    /// True if this is the one call of an unknown member.
    trial: bool,
}

impl<T: Candidate> Picked<T> {
    pub(super) fn new(member: &T, now: Instant, unknown: f32, trial: bool) -> Self {
        member.load().began(now);
        Self { member: member.clone(), started: now, unknown, trial }
    }

    /// Returns the member.
    pub fn member(&self) -> &T {
        &self.member
    }

    /// Returns the time of the pick.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// Records the outcome of the call. Call it once, when the response headers arrive or fail to.
    /// If the call was never sent, drop the pick instead.
    pub fn learn(&mut self, now: Instant, outcome: Outcome) {
        let took = now.saturating_duration_since(self.started);
        self.member.load().observe(now, took, outcome, self.unknown);
        self.end_trial();
    }

    fn end_trial(&mut self) {
        if std::mem::take(&mut self.trial) {
            self.member.load().trial_over();
        }
    }
}

impl<T: Candidate> Drop for Picked<T> {
    fn drop(&mut self) {
        self.member.load().ended();
        self.end_trial();
    }
}

impl<T: Candidate + fmt::Debug> fmt::Debug for Picked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Picked").field("member", &self.member).finish_non_exhaustive()
    }
}
