//! Circuit breaker: permits, and the word beside the mutex.

#[path = "../../../src/circuit_breaker/breaker.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod breaker;
#[path = "../../../src/circuit_breaker/config.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod config;
#[path = "../../../src/circuit_breaker/gate.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod gate;
#[path = "../../../src/circuit_breaker/machine.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod machine;
#[path = "../../../src/circuit_breaker/state.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod state;
#[path = "../../../src/circuit_breaker/window.rs"]
#[allow(dead_code, unreachable_pub, reason = "written for users outside of its crate")]
mod window;

mod sync {
    pub(super) use loom::sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    };
}

use std::time::Duration;

use breaker::{CircuitBreaker, Permit};
use config::{Config, Parameters, WindowKind};
use fastrand::Rng;
use gantry_resilience::deadline::Deadline;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};
use state::{Outcome, Snapshot, State};
use tokio::time::Instant;

const OPEN: Duration = Duration::from_secs(5);

fn breaker(consecutive_failures: u32, probes: u32) -> CircuitBreaker {
    let parameters = Parameters {
        window: WindowKind::Calls(3),
        consecutive_failures,
        minimum_calls: 3,
        failure_rate: 1.0,
        open: OPEN,
        jitter: 0.0,
        probes,
        ..Parameters::default()
    };
    CircuitBreaker::build(Config::try_new(parameters).unwrap(), Rng::with_seed(1), None)
}

/// Returns a breaker that one failure opened at this moment.
fn opened(probes: u32, now: Instant) -> CircuitBreaker {
    let breaker = breaker(1, probes);
    breaker.admit(now).unwrap().record(Outcome::Failed, now);
    breaker
}

/// Tries every order of two threads. Of three threads it tries the orders with up to two
/// preemptions, which takes a second; all of them would take an hour.
fn model(threads: usize, act: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = (threads > 2).then_some(2);
    model.check(act);
}

/// Runs each on its own thread, and waits for all.
fn at_once<const N: usize>(acts: [Box<dyn FnOnce() + Send>; N]) {
    let threads = acts.map(|act| thread::spawn(act));
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn there_are_never_more_probes_than_permits() {
    model(2, || {
        let now = Instant::now() + OPEN;
        let breaker = opened(1, now - OPEN);
        let held = Arc::new(AtomicU32::new(0));
        at_once([(); 2].map(|()| {
            let (breaker, held) = (breaker.clone(), Arc::clone(&held));
            Box::new(move || {
                if let Ok(permit) = breaker.admit(now) {
                    assert!(permit.is_probe());
                    assert_eq!(held.fetch_add(1, Ordering::SeqCst), 0);
                    held.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            }) as Box<dyn FnOnce() + Send>
        }));
        let snapshot = breaker.snapshot(now);
        assert_eq!((snapshot.state, snapshot.probes_out), (State::HalfOpen, 0));
        breaker.admit(now).unwrap().record(Outcome::Success, now);
        assert_eq!(breaker.snapshot(now).state, State::Closed);
    });
}

#[test]
fn no_call_is_lost_between_the_word_and_the_mutex() {
    model(3, || {
        let now = Instant::now();
        let breaker = breaker(9, 1);
        let record = |outcome| {
            let permit = breaker.admit(now).unwrap();
            Box::new(move || permit.record(outcome, now)) as Box<dyn FnOnce() + Send>
        };
        at_once([record(Outcome::Success), record(Outcome::Failed), record(Outcome::Success)]);
        let Snapshot { state, counts, consecutive_failures, .. } = breaker.snapshot(now);
        assert_eq!(state, State::Closed);
        assert_eq!((counts.calls, counts.failed), (3, 1));
        assert!(consecutive_failures <= 1);
        // No failure was lost: it opens when the successes have left the window.
        let after = consecutive_failures;
        for failed in after..3 {
            assert_eq!(breaker.snapshot(now).state, State::Closed, "after {failed} failures");
            breaker.admit(now).unwrap().record(Outcome::Failed, now);
        }
        assert_eq!(breaker.snapshot(now).state, State::Open);
    });
}

#[test]
fn a_snapshot_loses_no_success_that_comes_at_the_same_time() {
    model(2, || {
        let now = Instant::now();
        let breaker = breaker(9, 1);
        let (looked_at, permit) = (breaker.clone(), breaker.admit(now).unwrap());
        breaker.admit(now).unwrap().record(Outcome::Success, now);
        at_once([
            Box::new(move || assert!((1..=2).contains(&looked_at.snapshot(now).counts.calls))),
            Box::new(move || permit.record(Outcome::Success, now)) as Box<dyn FnOnce() + Send>,
        ]);
        assert_eq!(breaker.snapshot(now).counts.calls, 2);
    });
}

#[test]
fn no_straggler_closes_a_breaker_that_opens_meanwhile() {
    model(3, || {
        let now = Instant::now();
        let breaker = breaker(1, 1);
        let (good, bad) = (breaker.admit(now).unwrap(), breaker.admit(now).unwrap());
        let late = breaker.clone();
        at_once([
            Box::new(move || good.record(Outcome::Success, now)) as Box<dyn FnOnce() + Send>,
            Box::new(move || bad.record(Outcome::Failed, now)),
            Box::new(move || {
                if let Ok(permit) = late.admit(now) {
                    permit.record(Outcome::Success, now);
                }
            }),
        ]);
        let Snapshot { state, generation, counts, .. } = breaker.snapshot(now);
        assert_eq!((state, generation, counts.calls), (State::Open, 1, 0));
    });
}

#[test]
fn two_probes_that_fail_together_open_it_once() {
    model(2, || {
        let now = Instant::now() + OPEN;
        let breaker = opened(2, now - OPEN);
        let fail = |permit: Permit| {
            Box::new(move || permit.record(Outcome::Failed, now)) as Box<dyn FnOnce() + Send>
        };
        let probes = [breaker.admit(now).unwrap(), breaker.admit(now).unwrap()];
        at_once(probes.map(fail));
        let Snapshot { state, generation, half_open_in, .. } = breaker.snapshot(now);
        assert_eq!((state, generation, half_open_in), (State::Open, 3, Some(OPEN * 2)));
    });
}
