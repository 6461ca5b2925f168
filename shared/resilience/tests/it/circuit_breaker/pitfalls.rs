//! Pitfalls of other breakers, named as in docs/RESILIENCE.md.

use std::sync::{
    Arc, Barrier,
    atomic::{AtomicU32, Ordering},
};

use super::*;

#[test]
fn half_open_is_not_stuck_after_cancelled_probes() {
    let mut tester = Tester::opened(exact());
    tester.sleep(5 * SECOND);
    for _ in 0..100 {
        let probes = tester.admit_all();
        assert_eq!(probes.len(), 5);
        drop(probes);
        assert_eq!((tester.state(), tester.snapshot().probes_out), (State::HalfOpen, 0));
    }
    // Neutral outcomes do not use up permits either.
    tester.calls(100, Outcome::Neutral);
    tester.calls(5, Outcome::Success);
    assert_eq!(tester.state(), State::Closed);
}

#[test]
fn half_open_is_not_stuck_after_lost_probes() {
    let mut tester = Tester::opened(exact());
    tester.sleep(5 * SECOND);
    let lost = tester.admit_all();
    tester.sleep(60 * SECOND - MS);
    assert!(tester.admit().is_err());
    tester.sleep(MS);
    let anew = tester.admit_all();
    assert_eq!(anew.len(), 5);
    // The lost probes belong to an older generation now.
    for permit in lost {
        permit.record(Outcome::Failed, tester.now);
    }
    for permit in anew {
        permit.record(Outcome::Success, tester.now);
    }
    assert_eq!(tester.state(), State::Closed);
}

#[test]
fn there_are_no_more_probes_than_permits_under_concurrency() {
    const THREADS: u32 = 8;
    for _ in 0..50 {
        let mut tester = Tester::opened(exact());
        tester.sleep(5 * SECOND);
        let start = Barrier::new(THREADS as usize);
        let (held, most) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..100 {
                        let Ok(permit) = tester.admit() else { continue };
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        std::thread::yield_now();
                        held.fetch_sub(1, Ordering::SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!((1..=5).contains(&most.into_inner()));
        assert_eq!(tester.snapshot().probes_out, 0);
    }
}

#[test]
fn a_stale_success_does_not_close_an_open_breaker() {
    let tester = Tester::new(exact());
    let stale: Vec<Permit> = (0..100).map(|_| tester.admit().unwrap()).collect();
    tester.calls(5, Outcome::Failed);
    for permit in stale {
        permit.record(Outcome::Success, tester.now);
    }
    assert_eq!((tester.state(), tester.snapshot().generation), (State::Open, 1));
    assert!(tester.admit().is_err());
}

#[test]
fn no_mutex_is_held_while_the_observer_runs() {
    let looking = Arc::new(std::sync::OnceLock::<CircuitBreaker>::new());
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (inside, told) = (Arc::clone(&looking), Arc::clone(&seen));
    let config = Config::try_new(exact()).unwrap();
    let breaker = CircuitBreaker::observed(config, move |transition| {
        let snapshot = inside.get().unwrap().snapshot(transition.at);
        assert_eq!(snapshot.generation, transition.generation);
        told.lock().unwrap().push((transition.from, transition.to, transition.wait));
    });
    looking.set(breaker.clone()).unwrap();
    let now = Instant::now();
    for _ in 0..5 {
        breaker.admit(now).unwrap().record(Outcome::Failed, now);
    }
    for _ in 0..5 {
        breaker.admit(now + 5 * SECOND).unwrap().record(Outcome::Success, now + 5 * SECOND);
    }
    assert_eq!(
        *seen.lock().unwrap(),
        [
            (State::Closed, State::Open, Some(5 * SECOND)),
            (State::Open, State::HalfOpen, None),
            (State::HalfOpen, State::Closed, None),
        ]
    );
}

#[test]
fn it_is_not_open_long_after_recovery() {
    // After an outage of any length the first probe comes after the current wait, at most 72 s with
    // jitter. After silence of any length it is the first call.
    let mut tester = Tester::opened(Parameters::default());
    for _ in 0..50 {
        let wait = tester.snapshot().half_open_in.unwrap();
        assert!(wait <= 72 * SECOND, "{wait:?}");
        tester.sleep(wait);
        tester.call(Outcome::Failed);
    }
    tester.sleep(3600 * SECOND);
    tester.calls(5, Outcome::Success);
    assert_eq!(tester.state(), State::Closed);
    // The next outage starts with the short wait again.
    tester.calls(5, Outcome::Failed);
    assert!(tester.snapshot().half_open_in.unwrap() <= 6 * SECOND);
}

#[test]
fn it_is_not_opened_by_load_shedding() {
    let tester = Tester::new(exact());
    tester.calls(10_000, Outcome::Neutral);
    assert_eq!((tester.state(), tester.snapshot().counts.calls), (State::Closed, 0));
    // Shedding does not hide a real outage either, or end a run of failures.
    for _ in 0..5 {
        tester.call(Outcome::Failed);
        if tester.state() == State::Closed {
            tester.calls(50, Outcome::Neutral);
        }
    }
    assert_eq!(tester.state(), State::Open);
}
