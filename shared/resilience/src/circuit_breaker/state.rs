//! What a breaker says: its states, what moved it, and what it refuses.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::window::Counts;

/// How a call ended, as far as the dependency's health goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The dependency answered, and be it with a refusal: the way to it works.
    Success,
    /// The dependency answered, but more slowly than this call's own rule allows. What
    /// took longer than [`Parameters::slow_after`](super::Parameters::slow_after) counts
    /// as slow in any case.
    Slow,
    /// The dependency did not answer, or answered that it is broken.
    Failed,
    /// The call says nothing of the dependency's health: it was shed, or its caller gave
    /// it up.
    Neutral,
}

/// The state of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Calls flow.
    Closed,
    /// Calls are rejected.
    Open,
    /// A few calls are let through to find out whether it may close; the others are
    /// rejected.
    HalfOpen,
}

impl State {
    /// The name for logs, metrics and admin pages: `closed`, `open` or `half_open`.
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

/// Why a breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// So many calls failed one after the other: opened.
    ConsecutiveFailures {
        /// How many.
        failed: u32,
    },
    /// Too many calls of the window failed: opened.
    FailureRate {
        /// How many.
        failed: u32,
        /// Of how many.
        calls: u32,
    },
    /// Too many calls of the window were slow: opened.
    SlowRate {
        /// How many.
        slow: u32,
        /// Of how many.
        calls: u32,
    },
    /// A probe failed: opened again.
    ProbeFailed,
    /// Too many of the probes were slow: opened again.
    ProbesSlow,
    /// The wait was over: half-open.
    WaitOver,
    /// Nothing was heard of the probes for too long: half-open anew.
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
            Self::ProbesLost => f.write_str("nothing was heard of the probes"),
            Self::ProbesSucceeded => f.write_str("all probes succeeded"),
        }
    }
}

/// A call that was not let through: nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the circuit breaker is {state} ({cause}); retry in {retry_after:?}")]
pub struct Rejected {
    /// [`State::Open`], or [`State::HalfOpen`] where all probes are under way.
    pub state: State,
    /// When to come back: what is left of the open wait; 1 s where probes are under way.
    pub retry_after: Duration,
    /// Why the breaker is in this state.
    pub cause: Cause,
}

/// A breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// Of the new state: one more than that of the old. Where two threads change the
    /// state one right after the other, this tells their order.
    pub generation: u64,
    /// The old state.
    pub from: State,
    /// The new state.
    pub to: State,
    /// Why.
    pub cause: Cause,
    /// When.
    pub at: Instant,
    /// How long it stays open, jitter included, where it opened.
    pub wait: Option<Duration>,
}

/// A breaker at one moment, for error messages and admin pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its state. It is open until a call comes after the wait.
    pub state: State,
    /// How often the state changed.
    pub generation: u64,
    /// Why it last changed; `None` where it never did.
    pub cause: Option<Cause>,
    /// The calls of the window; none where it is not closed.
    pub counts: Counts,
    /// How many calls in a row failed.
    pub consecutive_failures: u32,
    /// What is left of the open wait: zero where the next call will be a probe. `None`
    /// where it is not open.
    pub half_open_in: Option<Duration>,
    /// How often it opened since it was last closed.
    pub openings: u32,
    /// How many probes are under way.
    pub probes_out: u32,
    /// How many probes succeeded, half-open.
    pub probes_good: u32,
}
