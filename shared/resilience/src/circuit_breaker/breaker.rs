//! Circuit breaker and the permits of admitted calls.

use std::fmt;

use fastrand::Rng;
use tokio::time::Instant;

use super::{
    Deadline,
    config::Config,
    gate::Gate,
    machine::Admission,
    state::{Outcome, Rejected, Snapshot, Transition},
    sync::Arc,
    window::Ended,
};

type Observer = Box<dyn Fn(&Transition) + Send + Sync>;

/// Circuit breaker. Clones share its state.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Shared>);

struct Shared {
    gate: Gate,
    config: Config,
    observer: Option<Observer>,
}

impl CircuitBreaker {
    /// Creates a closed breaker.
    pub fn new(config: Config) -> Self {
        Self::build(config, Rng::new(), None)
    }

    /// Creates a closed breaker that reports each change of state to `observer`: after the change, on
    /// the thread that caused it, under no lock. The observer must not block or panic.
    pub fn observed(
        config: Config,
        observer: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Self {
        Self::build(config, Rng::new(), Some(Box::new(observer)))
    }

    pub(super) fn build(config: Config, rng: Rng, observer: Option<Observer>) -> Self {
        Self(Arc::new(Shared { gate: Gate::new(config, rng), config, observer }))
    }

    /// Admits a call that is about to be made, or rejects it.
    ///
    /// # Errors
    /// [`Rejected`] if the breaker is open, or half-open with all probes under way. The call must not
    /// be sent.
    pub fn admit(&self, now: Instant) -> Result<Permit, Rejected> {
        let (admission, changed) = self.0.gate.admit(now);
        self.report(changed);
        Ok(Permit {
            breaker: self.clone(),
            admission: admission?,
            admitted: now,
            answered: None,
            due: None,
            settled: false,
        })
    }

    /// Returns the current state and counters.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.0.gate.snapshot(now)
    }

    fn report(&self, changed: Option<Transition>) {
        if let (Some(transition), Some(observer)) = (changed, &self.0.observer) {
            observer(&transition);
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("config", &self.0.config).finish_non_exhaustive()
    }
}

/// Permit of an admitted call, until its outcome is recorded. Dropping it unrecorded means that the
/// caller gave the call up, which is neutral; see [`Permit::due`] for the exception.
#[derive(Debug)]
#[must_use = "a permit that is dropped counts as a call that was given up"]
pub struct Permit {
    breaker: CircuitBreaker,
    admission: Admission,
    admitted: Instant,
    answered: Option<Instant>,
    due: Option<Deadline>,
    settled: bool,
}

impl Permit {
    /// Returns true if the call is a probe of a half-open breaker. A probe is a single attempt and
    /// does not wait for a reconnect backoff.
    pub fn is_probe(&self) -> bool {
        self.admission.probe
    }

    /// Marks the start of the answer. Time after it does not make the call slow. Only the first mark
    /// counts.
    pub fn answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// Sets the call's deadline. A permit that is dropped after it counts as failed: the call ran out
    /// of time.
    ///
    /// For callers that enforce the deadline outside of the breaker. Do not set it if the caller left
    /// the dependency less time than is fair.
    pub fn due(&mut self, deadline: Deadline) {
        self.due = Some(deadline);
    }

    /// Records the call's outcome.
    pub fn record(mut self, outcome: Outcome, now: Instant) {
        self.settle(outcome, now);
    }

    fn settle(&mut self, outcome: Outcome, now: Instant) {
        self.settled = true;
        let took = self.answered.unwrap_or(now).saturating_duration_since(self.admitted);
        let slow = took >= self.breaker.0.config.parameters().slow_after;
        let ended = match outcome {
            Outcome::Success => Some(Ended { failed: false, slow }),
            Outcome::Slow => Some(Ended { failed: false, slow: true }),
            Outcome::Failed => Some(Ended { failed: true, slow }),
            Outcome::Neutral => None,
        };
        let changed = self.breaker.0.gate.record(self.admission, ended, now);
        self.breaker.report(changed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // Reads the clock only if a deadline is set.
        let late = self.due.map(|due| (due, Instant::now()));
        match late {
            Some((due, now)) if due.left(now).is_none() => self.settle(Outcome::Failed, now),
            Some(_) | None => self.settle(Outcome::Neutral, self.admitted),
        }
    }
}
