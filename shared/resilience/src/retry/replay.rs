//! What a service knows that retrying it needs to be told.

use tokio::time::Instant;

use super::{Decision, Failed};
use crate::deadline::Deadline;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well: it gives back a part of a token.
    Succeeded,
    /// Not so.
    Failed(Failed),
}

/// How the calls of one kind of service are made again. Shared by all of them.
pub trait Replay<Req, Res, Err> {
    /// Another copy of the request, to be sent if the attempt with the first one fails.
    /// `None` where there is none (its body is a stream, or longer than one wants to
    /// keep) or where it may not be executed twice: then it gets a single attempt.
    fn copy(&self, request: &Req) -> Option<Req>;

    /// When the caller stops waiting for the call that begins now.
    fn deadline(&self, request: &Req, now: Instant) -> Deadline;

    /// How the attempt ended.
    fn judge(&self, result: &Result<Res, Err>) -> Verdict;

    /// Told of every failed attempt, numbered from 1, and what follows it: to be logged.
    fn decided(&self, _result: &Result<Res, Err>, _attempt: u32, _decision: Decision) {}
}
