//! Policy of retries for one kind of service.

use tokio::time::Instant;

use super::{Decision, Failure};
use crate::deadline::Deadline;

/// Outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Success: returns a fraction of a token.
    Succeeded,
    /// Failure. Takes a token if it [costs](Failure::costs) one.
    Failed(Failure),
}

/// Retry policy for the calls of one kind of service, shared by all of them.
pub trait Replay<Req, Res, Err> {
    /// Returns a copy of the request for the next attempt. `None` means a single attempt: the body
    /// is a stream or too long to keep, or the request may not be executed twice.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// Returns the deadline of a call that begins now.
    fn deadline(&self, request: &Req, now: Instant) -> Deadline;

    /// Classifies the result of an attempt.
    fn judge(&self, result: &Result<Res, Err>) -> Verdict;

    /// Called for every failed attempt, numbered from 1, with the decision that follows: for logs.
    fn decided(&self, _result: &Result<Res, Err>, _attempt: u32, _decision: Decision) {}
}
