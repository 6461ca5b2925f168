//! Admission of calls by a circuit breaker.

mod bodies;
mod config;
mod http;
mod model;
mod pitfalls;
mod properties;
mod service;
mod states;

use std::time::Duration;

use gantry_resilience::circuit_breaker::{
    CircuitBreaker, Config, Outcome, Parameters, Permit, Rejected, Snapshot, State, WindowKind,
};
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Returns the defaults without jitter.
fn exact() -> Parameters {
    Parameters { jitter: 0.0, ..Parameters::default() }
}

/// Breaker with a clock of the test's own.
struct Tester {
    breaker: CircuitBreaker,
    now: Instant,
}

impl Tester {
    fn new(parameters: Parameters) -> Self {
        let breaker = CircuitBreaker::new(Config::try_new(parameters).unwrap());
        Self { breaker, now: Instant::now() }
    }

    /// Returns a breaker with these parameters that five failures have just opened.
    fn opened(parameters: Parameters) -> Self {
        let tester = Self::new(parameters);
        tester.calls(parameters.consecutive_failures, Outcome::Failed);
        assert_eq!(tester.state(), State::Open);
        tester
    }

    fn sleep(&mut self, time: Duration) {
        self.now += time;
    }

    fn admit(&self) -> Result<Permit, Rejected> {
        self.breaker.admit(self.now)
    }

    /// Makes a call that ends at once.
    fn call(&self, outcome: Outcome) {
        self.admit().unwrap().record(outcome, self.now);
    }

    fn calls(&self, count: u32, outcome: Outcome) {
        (0..count).for_each(|_| self.call(outcome));
    }

    fn snapshot(&self) -> Snapshot {
        self.breaker.snapshot(self.now)
    }

    fn state(&self) -> State {
        self.snapshot().state
    }

    /// Takes all available permits.
    fn admit_all(&self) -> Vec<Permit> {
        std::iter::from_fn(|| self.admit().ok()).take(1000).collect()
    }
}
