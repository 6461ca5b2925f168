//! The breaker and the permits of the calls that it lets through.

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

/// A circuit breaker. A clone is the same breaker.
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Shared>);

struct Shared {
    gate: Gate,
    config: Config,
    observer: Option<Observer>,
}

impl CircuitBreaker {
    /// A closed breaker that has seen no call.
    pub fn new(config: Config) -> Self {
        Self::build(config, Rng::new(), None)
    }

    /// The same, and whoever is told of each change of its state: after the change, on
    /// the thread that caused it, under no lock. Must not block and must not panic.
    pub fn observed(
        config: Config,
        observer: impl Fn(&Transition) + Send + Sync + 'static,
    ) -> Self {
        Self::build(config, Rng::new(), Some(Box::new(observer)))
    }

    pub(super) fn build(config: Config, rng: Rng, observer: Option<Observer>) -> Self {
        Self(Arc::new(Shared { gate: Gate::new(config, rng), config, observer }))
    }

    /// Lets a call through that is about to be made, or not.
    ///
    /// # Errors
    /// [`Rejected`] where the breaker is open, and half-open where all probes are under
    /// way. Nothing is to be sent then.
    pub fn admit(&self, now: Instant) -> Result<Permit, Rejected> {
        let (admission, changed) = self.0.gate.admit(now);
        self.tell(changed);
        Ok(Permit {
            breaker: self.clone(),
            admission: admission?,
            admitted: now,
            answered: None,
            due: None,
            settled: false,
        })
    }

    /// The breaker at this moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        self.0.gate.snapshot(now)
    }

    /// Its numbers.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    fn tell(&self, changed: Option<Transition>) {
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

/// A call that was let through, until its end is recorded. Dropped before that, the call
/// was given up, which says nothing of the dependency; see [`Permit::due`] for the
/// exception.
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
    /// Whether the call is to find out if the breaker may close. A probe is one attempt,
    /// and it does not wait out a reconnect backoff.
    pub fn is_probe(&self) -> bool {
        self.admission.probe
    }

    /// When the call was let through.
    pub fn admitted(&self) -> Instant {
        self.admitted
    }

    /// The dependency began to answer: what comes later does not make the call slow.
    /// The first time counts.
    pub fn answered(&mut self, now: Instant) {
        self.answered.get_or_insert(now);
    }

    /// Says until when the dependency has to end the call. A permit that is dropped from
    /// then on was not given up by its caller: the call ran out of time, and failed.
    ///
    /// For those whose deadline is kept outside of the breaker. Not to be said where
    /// the caller left the dependency less time than is fair.
    pub fn due(&mut self, deadline: Deadline) {
        self.due = Some(deadline);
    }

    /// Records how the call ended.
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
        self.breaker.tell(changed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        // The clock is read only where it matters.
        let late = self.due.map(|due| (due, Instant::now()));
        match late {
            Some((due, now)) if due.left(now).is_none() => self.settle(Outcome::Failed, now),
            Some(_) | None => self.settle(Outcome::Neutral, self.admitted),
        }
    }
}
