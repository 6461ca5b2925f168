//! States, causes, rejections and snapshots of a breaker.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::window::Counts;

/// Outcome of a call, with regard to the dependency's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency answered, even if with a refusal.
    Success,
    /// The dependency answered more slowly than this call's own rule allows. Calls longer than
    /// [`Parameters::slow_after`](super::Parameters::slow_after) are slow in any case.
    Slow,
    /// The dependency did not answer, or reported a fault of its own.
    Failed,
    /// The call is no evidence of the dependency's health: it was shed, or the caller gave it up.
    Neutral,
}

/// State of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls flow.
    Closed,
    /// Calls are rejected.
    Open,
    /// A few calls are admitted as probes; the others are rejected.
    HalfOpen,
}

impl State {
    /// Returns the name for logs, metrics and admin pages: `closed`, `open` or `half_open`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Cause of a change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Consecutive calls failed: opened.
    ConsecutiveFailures {
        /// Number of calls.
        failed: u32,
    },
    /// Too many calls of the window failed: opened.
    FailureRate {
        /// Number of calls.
        failed: u32,
        /// Calls in the window.
        calls: u32,
    },
    /// Too many calls of the window were slow: opened.
    SlowRate {
        /// Number of calls.
        slow: u32,
        /// Calls in the window.
        calls: u32,
    },
    /// A probe failed: opened again.
    ProbeFailed,
    /// Too many of the probes were slow: opened again.
    ProbesSlow,
    /// The open wait ended: half-open.
    WaitOver,
    /// The probes had no outcome for too long: half-open again.
    ProbesLost,
    /// All probes succeeded: closed.
    ProbesSucceeded,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConsecutiveFailures { failed } => write!(f, "{failed} calls in a row failed"),
            Self::FailureRate { failed, calls } => {
                write!(f, "{failed} of the last {calls} calls failed")
            }
            Self::SlowRate { slow, calls } => {
                write!(f, "{slow} of the last {calls} calls were slow")
            }
            Self::ProbeFailed => f.write_str("a probe failed"),
            Self::ProbesSlow => f.write_str("the probes were slow"),
            Self::WaitOver => f.write_str("the wait is over"),
            Self::ProbesLost => f.write_str("the probes had no outcome in time"),
            Self::ProbesSucceeded => f.write_str("all probes succeeded"),
        }
    }
}

/// Rejection of a call: nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is {state} ({cause}); retry in {retry_after:?}")]
pub struct Rejected {
    /// [`State::Open`], or [`State::HalfOpen`] with all probes under way.
    pub state: State,
    /// Retry hint: the rest of the open wait, or 1 s while probes are under way.
    pub retry_after: Duration,
    /// Cause of the current state.
    pub cause: Cause,
}

/// Change of a breaker's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Generation of the new state: one more than that of the old. Orders changes that two threads
    /// report at the same time.
    pub generation: u64,
    /// The old state.
    pub from: State,
    /// The new state.
    pub to: State,
    /// Cause.
    pub cause: Cause,
    /// Time.
    pub at: Instant,
    /// Open wait including jitter, if the breaker opened.
    pub wait: Option<Duration>,
}

/// Snapshot of a breaker, for error messages and admin pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// State. Stays open until the first call after the wait.
    pub state: State,
    /// Number of changes of state.
    pub generation: u64,
    /// Cause of the last change, if there was one.
    pub cause: Option<Cause>,
    /// Calls of the window; zero unless closed.
    pub counts: Counts,
    /// Consecutive failures.
    pub consecutive_failures: u32,
    /// Rest of the open wait: zero if the next call will be a probe, `None` if not open.
    pub half_open_in: Option<Duration>,
    /// Number of openings since the breaker was last closed.
    pub openings: u32,
    /// Probes under way.
    pub probes_out: u32,
    /// Successful probes of the half-open state.
    pub probes_good: u32,
}
