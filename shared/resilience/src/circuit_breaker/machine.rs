//! State machine of a breaker: pure.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    config::Config,
    state::{Cause, Rejected, Snapshot, State, Transition},
    window::{Ended, Window},
};

/// Retry hint for callers rejected while probes are under way: by then the probes have ended or the
/// next wait has begun.
const PROBES_TAKE: Duration = Duration::from_secs(1);

/// Admission of a call: the generation that admitted it, and whether it is a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Admission {
    pub(super) generation: u64,
    pub(super) probe: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open {
        until: Instant,
        wait: Duration,
    },
    /// Invariant: `out + good` is at most the number of probes.
    HalfOpen {
        /// Time of the last admission.
        granted: Instant,
        out: u32,
        good: u32,
        slow: u32,
    },
}

#[derive(Debug)]
pub(super) struct Machine {
    config: Config,
    phase: Phase,
    /// Number of changes of the phase.
    generation: u64,
    window: Window,
    /// Consecutive failures.
    run: u32,
    /// Number of openings since the breaker was last closed.
    openings: u32,
    /// Cause of the last change. Meaningless before the first.
    cause: Cause,
}

impl Machine {
    pub(super) fn new(config: Config) -> Self {
        Self {
            window: Window::new(config.parameters().window),
            config,
            phase: Phase::Closed,
            generation: 0,
            run: 0,
            openings: 0,
            cause: Cause::ProbesSucceeded,
        }
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }

    /// Admits or rejects a call.
    pub(super) fn admit(
        &mut self,
        now: Instant,
    ) -> (Result<Admission, Rejected>, Option<Transition>) {
        let probes = self.config.parameters().probes;
        let timeout = self.config.parameters().probe_timeout;
        let changed = match &mut self.phase {
            Phase::Closed => None,
            Phase::Open { until, .. } if now < *until => {
                let left = *until - now;
                return (Err(self.rejected(left)), None);
            }
            // open -> half-open: the wait is over, and this call is the first probe.
            Phase::Open { .. } => Some(self.half_open(Cause::WaitOver, now)),
            Phase::HalfOpen { granted, out, good, .. } if *out + *good < probes => {
                *granted = now.max(*granted);
                *out += 1;
                None
            }
            // half-open -> half-open: the outstanding probes count as lost.
            Phase::HalfOpen { granted, .. }
                if now.saturating_duration_since(*granted) >= timeout =>
            {
                Some(self.half_open(Cause::ProbesLost, now))
            }
            Phase::HalfOpen { .. } => return (Err(self.rejected(PROBES_TAKE)), None),
        };
        let admission = Admission { generation: self.generation, probe: !self.is_closed() };
        (Ok(admission), changed)
    }

    /// Records the outcome of a call, once per admission. `None` is neutral.
    pub(super) fn record(
        &mut self,
        admission: Admission,
        ended: Option<Ended>,
        now: Instant,
        rng: &mut Rng,
    ) -> Option<Transition> {
        // The call was admitted by an earlier state: its outcome is outdated.
        if admission.generation != self.generation {
            return None;
        }
        let cause = match &mut self.phase {
            Phase::Closed => self.count(ended?, now),
            Phase::HalfOpen { out, good, slow, .. } => {
                *out -= 1;
                let ended = ended?;
                if ended.failed {
                    Some(Cause::ProbeFailed)
                } else {
                    *good += 1;
                    *slow += u32::from(ended.slow);
                    let (good, slow) = (*good, *slow);
                    if good < self.config.parameters().probes {
                        return None;
                    }
                    let slow_rate = f64::from(slow) / f64::from(good);
                    if slow_rate < self.config.parameters().slow_rate {
                        // half-open -> closed: all probes succeeded.
                        return Some(self.close(now));
                    }
                    Some(Cause::ProbesSlow)
                }
            }
            // An open breaker admits nothing, so no call has its generation.
            Phase::Open { .. } => None,
        };
        // closed or half-open -> open.
        cause.map(|cause| self.open(cause, now, rng))
    }

    /// Counts a call. Returns the cause if the breaker must open.
    fn count(&mut self, ended: Ended, now: Instant) -> Option<Cause> {
        self.run = if ended.failed { self.run.saturating_add(1) } else { 0 };
        self.window.push(ended, now);
        let parameters = self.config.parameters();
        if self.run >= parameters.consecutive_failures {
            return Some(Cause::ConsecutiveFailures { failed: self.run });
        }
        let counts = self.window.counts(now);
        if counts.calls < parameters.minimum_calls {
            None
        } else if counts.failure_rate() >= parameters.failure_rate {
            Some(Cause::FailureRate { failed: counts.failed, calls: counts.calls })
        } else if counts.slow_rate() >= parameters.slow_rate {
            Some(Cause::SlowRate { slow: counts.slow, calls: counts.calls })
        } else {
            None
        }
    }

    fn open(&mut self, cause: Cause, now: Instant, rng: &mut Rng) -> Transition {
        self.openings = self.openings.saturating_add(1);
        let wait = self.config.wait(self.openings, rng.f64());
        self.change(Phase::Open { until: now + wait, wait }, cause, now)
    }

    fn half_open(&mut self, cause: Cause, now: Instant) -> Transition {
        self.change(Phase::HalfOpen { granted: now, out: 1, good: 0, slow: 0 }, cause, now)
    }

    fn close(&mut self, now: Instant) -> Transition {
        self.openings = 0;
        self.change(Phase::Closed, Cause::ProbesSucceeded, now)
    }

    fn change(&mut self, phase: Phase, cause: Cause, now: Instant) -> Transition {
        let from = self.state();
        self.phase = phase;
        self.cause = cause;
        self.generation += 1;
        // The counts belong to the previous state.
        self.window.clear();
        self.run = 0;
        let wait = match phase {
            Phase::Open { wait, .. } => Some(wait),
            Phase::Closed | Phase::HalfOpen { .. } => None,
        };
        Transition { generation: self.generation, from, to: self.state(), cause, at: now, wait }
    }

    fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    fn rejected(&self, retry_after: Duration) -> Rejected {
        Rejected { state: self.state(), retry_after, cause: self.cause }
    }

    pub(super) fn snapshot(&self, now: Instant) -> Snapshot {
        let (probes_out, probes_good) = match self.phase {
            Phase::HalfOpen { out, good, .. } => (out, good),
            Phase::Closed | Phase::Open { .. } => (0, 0),
        };
        Snapshot {
            state: self.state(),
            generation: self.generation,
            cause: (self.generation > 0).then_some(self.cause),
            counts: self.window.counts(now),
            consecutive_failures: self.run,
            half_open_in: match self.phase {
                Phase::Open { until, .. } => Some(until.saturating_duration_since(now)),
                Phase::Closed | Phase::HalfOpen { .. } => None,
            },
            openings: self.openings,
            probes_out,
            probes_good,
        }
    }

    /// Takes the number of calls out of a window without failures and slow calls, in which a further
    /// success changes only that number. Returns `None` for any other window.
    pub(super) fn take_good(&mut self) -> Option<u32> {
        match (&mut self.window, self.phase) {
            (Window::Calls(calls), Phase::Closed) => {
                let good = calls.all_good()?;
                calls.clear();
                Some(good)
            }
            _ => None,
        }
    }

    /// Restores the calls that [`take_good`](Self::take_good) took, plus those counted since.
    pub(super) fn put_good(&mut self, good: u32) {
        if let Window::Calls(calls) = &mut self.window {
            for _ in 0..good {
                calls.push(Ended::default());
            }
        }
    }
}
