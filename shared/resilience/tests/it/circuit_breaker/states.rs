use super::*;
use gantry_resilience::circuit_breaker::Cause;

#[test]
fn it_opens_at_the_fifth_failure_in_a_row() {
    let tester = Tester::new(exact());
    tester.calls(4, Outcome::Failed);
    assert_eq!(tester.state(), State::Closed);
    tester.call(Outcome::Failed);
    let snapshot = tester.snapshot();
    assert_eq!(snapshot.state, State::Open);
    assert_eq!(snapshot.cause, Some(Cause::ConsecutiveFailures { failed: 5 }));
    assert_eq!(snapshot.half_open_in, Some(5 * SECOND));
}

#[test]
fn only_a_success_ends_the_run_of_failures() {
    let tester = Tester::new(exact());
    tester.calls(4, Outcome::Failed);
    tester.call(Outcome::Success);
    tester.calls(4, Outcome::Failed);
    assert_eq!(tester.state(), State::Closed);
    tester.call(Outcome::Slow);
    tester.calls(4, Outcome::Failed);
    tester.call(Outcome::Neutral);
    assert_eq!((tester.state(), tester.snapshot().consecutive_failures), (State::Closed, 4));
    tester.call(Outcome::Failed);
    assert_eq!(tester.state(), State::Open);
}

#[test]
fn it_opens_if_half_of_at_least_20_calls_failed() {
    let tester = Tester::new(exact());
    for _ in 0..9 {
        tester.call(Outcome::Failed);
        tester.call(Outcome::Success);
    }
    tester.call(Outcome::Failed);
    assert_eq!((tester.state(), tester.snapshot().counts.calls), (State::Closed, 19));
    // A rate needs a minimum number of calls.
    tester.call(Outcome::Success);
    assert_eq!(tester.snapshot().cause, Some(Cause::FailureRate { failed: 10, calls: 20 }));
    assert_eq!(tester.state(), State::Open);
}

#[test]
fn it_opens_if_four_fifths_were_slow() {
    let tester = Tester::new(Parameters { slow_after: SECOND, ..exact() });
    tester.calls(4, Outcome::Success);
    tester.calls(15, Outcome::Slow);
    assert_eq!(tester.state(), State::Closed);
    let slow = tester.admit().unwrap();
    slow.record(Outcome::Success, tester.now + SECOND);
    assert_eq!(tester.snapshot().cause, Some(Cause::SlowRate { slow: 16, calls: 20 }));
}

#[test]
fn a_call_is_slow_by_the_time_to_its_answer_however_it_ends() {
    let tester = Tester::new(Parameters { slow_after: SECOND, ..exact() });
    tester.admit().unwrap().record(Outcome::Success, tester.now + SECOND - MS);
    tester.admit().unwrap().record(Outcome::Failed, tester.now + SECOND);
    tester.admit().unwrap().record(Outcome::Neutral, tester.now + SECOND);
    let mut stream = tester.admit().unwrap();
    stream.answered(tester.now + 10 * MS);
    stream.answered(tester.now + 10 * SECOND);
    stream.record(Outcome::Success, tester.now + 100 * SECOND);
    let counts = tester.snapshot().counts;
    assert_eq!((counts.calls, counts.failed, counts.slow), (3, 1, 1));
}

#[test]
fn a_window_of_calls_forgets_all_but_the_last_hundred() {
    let tester = Tester::new(Parameters { failure_rate: 0.03, minimum_calls: 100, ..exact() });
    let spoiled = |counts: Snapshot| (counts.counts.calls, counts.counts.failed);
    tester.calls(2, Outcome::Failed);
    tester.calls(98, Outcome::Success);
    assert_eq!(spoiled(tester.snapshot()), (100, 2));
    tester.call(Outcome::Success);
    assert_eq!(spoiled(tester.snapshot()), (100, 1));
    tester.calls(1000, Outcome::Success);
    assert_eq!(spoiled(tester.snapshot()), (100, 0));
    // Successes that were counted outside the mutex take their places in the window.
    tester.calls(2, Outcome::Failed);
    tester.calls(98, Outcome::Success);
    assert_eq!(spoiled(tester.snapshot()), (100, 2));
    tester.calls(2, Outcome::Success);
    assert_eq!(spoiled(tester.snapshot()), (100, 0));
}

#[test]
fn a_healthy_breaker_counts_no_further_than_its_window() {
    let tester = Tester::new(exact());
    // More than the 16 bits of the shared word.
    tester.calls(70_000, Outcome::Success);
    tester.call(Outcome::Failed);
    assert_eq!(tester.snapshot().counts.failed, 1);
    assert_eq!((tester.snapshot().counts.calls, tester.snapshot().generation), (100, 0));
}

#[test]
fn a_window_of_time_forgets_what_is_ten_seconds_old() {
    let mut tester = Tester::new(Parameters { window: WindowKind::BY_TIME, ..exact() });
    tester.calls(4, Outcome::Failed);
    tester.sleep(SECOND);
    tester.calls(5, Outcome::Success);
    tester.sleep(8 * SECOND + 999 * MS);
    assert_eq!(tester.snapshot().counts.calls, 9);
    tester.sleep(MS);
    assert_eq!((tester.snapshot().counts.calls, tester.snapshot().counts.failed), (5, 0));
    tester.call(Outcome::Failed);
    tester.sleep(SECOND);
    assert_eq!((tester.snapshot().counts.calls, tester.snapshot().counts.failed), (1, 1));
    tester.sleep(3600 * SECOND);
    assert_eq!(tester.snapshot().counts.calls, 0);
    for _ in 0..9 {
        tester.call(Outcome::Success);
        tester.call(Outcome::Failed);
    }
    tester.call(Outcome::Success);
    assert_eq!(tester.state(), State::Closed);
    tester.call(Outcome::Failed);
    assert_eq!(tester.state(), State::Open);
}

#[test]
fn open_it_rejects_and_says_what_is_left_of_the_wait() {
    let mut tester = Tester::opened(exact());
    tester.sleep(3 * SECOND);
    let rejected = tester.admit().unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::Open, 2 * SECOND));
    assert_eq!(
        rejected.to_string(),
        "the circuit breaker is open (5 calls in a row failed); retry in 2s"
    );
    tester.sleep(2 * SECOND - MS);
    assert_eq!(tester.admit().unwrap_err().retry_after, MS);
    tester.sleep(MS);
    assert!(tester.admit().unwrap().is_probe());
}

#[test]
fn half_open_it_admits_five_probes_and_closes_after_them() {
    let mut tester = Tester::opened(exact());
    tester.sleep(5 * SECOND);
    let mut probes = tester.admit_all();
    assert_eq!(probes.len(), 5);
    assert!(probes.iter().all(Permit::is_probe));
    let rejected = tester.admit().unwrap_err();
    assert_eq!((rejected.state, rejected.retry_after), (State::HalfOpen, SECOND));
    let last = probes.pop().unwrap();
    for probe in probes {
        probe.record(Outcome::Success, tester.now);
        // A success does not free its permit: five calls in total.
        assert!(tester.admit().is_err());
    }
    assert_eq!((tester.snapshot().probes_out, tester.snapshot().probes_good), (1, 4));
    last.record(Outcome::Success, tester.now);
    assert_eq!(
        (tester.state(), tester.snapshot().cause),
        (State::Closed, Some(Cause::ProbesSucceeded))
    );
    assert!(!tester.admit().unwrap().is_probe());
}

#[test]
fn each_failed_probe_doubles_the_wait_up_to_a_minute() {
    let mut tester = Tester::opened(exact());
    for wait in [5, 10, 20, 40, 60, 60, 60] {
        assert_eq!(tester.snapshot().half_open_in, Some(wait * SECOND));
        tester.sleep(wait * SECOND - MS);
        assert!(tester.admit().is_err());
        tester.sleep(MS);
        tester.call(Outcome::Failed);
    }
    assert_eq!(tester.snapshot().openings, 8);
    assert_eq!(tester.snapshot().cause, Some(Cause::ProbeFailed));
}

#[test]
fn probes_that_are_all_slow_open_it_again() {
    let mut tester = Tester::opened(exact());
    tester.sleep(5 * SECOND);
    tester.calls(4, Outcome::Slow);
    tester.call(Outcome::Success);
    assert_eq!(tester.snapshot().cause, Some(Cause::ProbesSlow));
    assert_eq!(tester.snapshot().half_open_in, Some(10 * SECOND));
    tester.sleep(10 * SECOND);
    tester.calls(3, Outcome::Slow);
    tester.calls(2, Outcome::Success);
    assert_eq!(tester.state(), State::Closed);
}

#[test]
fn the_wait_is_jittered_by_a_fifth_both_ways() {
    let waits: Vec<f64> = (0..1000)
        .map(|_| Tester::opened(Parameters::default()).snapshot().half_open_in.unwrap())
        .map(|wait| wait.as_secs_f64())
        .collect();
    assert!(waits.iter().all(|wait| (4.0..=6.0).contains(wait)));
    let mean = waits.iter().sum::<f64>() / 1000.0;
    assert!((mean - 5.0).abs() < 0.15, "{mean}");
    assert!(waits.iter().any(|wait| *wait < 4.2) && waits.iter().any(|wait| *wait > 5.8));
}

#[test]
fn an_outcome_counts_only_in_the_state_that_let_it_through() {
    let mut tester = Tester::new(exact());
    let old = |tester: &Tester| [(); 6].map(|()| tester.admit().unwrap());
    let (of_closed, also_of_closed) = (old(&tester), old(&tester));
    tester.calls(5, Outcome::Failed);
    tester.sleep(5 * SECOND);
    let mut probes = tester.admit_all();
    // Outdated outcomes of the closed state neither open a half-open breaker nor close it.
    of_closed.into_iter().for_each(|permit| permit.record(Outcome::Failed, tester.now));
    also_of_closed.into_iter().for_each(|permit| permit.record(Outcome::Success, tester.now));
    assert_eq!((tester.state(), tester.snapshot().probes_out), (State::HalfOpen, 5));
    // An outdated probe takes no permit of the next half-open state.
    probes.pop().unwrap().record(Outcome::Failed, tester.now);
    tester.sleep(10 * SECOND);
    let held = tester.admit_all();
    for probe in probes {
        probe.record(Outcome::Failed, tester.now);
    }
    assert_eq!((tester.state(), tester.snapshot().probes_out), (State::HalfOpen, 5));
    for probe in held {
        probe.record(Outcome::Success, tester.now);
    }
    assert_eq!((tester.state(), tester.snapshot().counts.calls), (State::Closed, 0));
}

#[test]
fn a_straggler_is_not_counted_in_a_later_closed_state() {
    let mut tester = Tester::new(exact());
    let stragglers = [(); 5].map(|()| tester.admit().unwrap());
    tester.calls(5, Outcome::Failed);
    tester.sleep(5 * SECOND);
    tester.calls(5, Outcome::Success);
    for (straggler, outcome) in stragglers.into_iter().zip([
        Outcome::Success,
        Outcome::Slow,
        Outcome::Failed,
        Outcome::Neutral,
        Outcome::Success,
    ]) {
        straggler.record(outcome, tester.now);
        assert_eq!((tester.state(), tester.snapshot().counts.calls), (State::Closed, 0));
    }
}

#[test]
fn a_clock_that_steps_back_does_not_end_the_wait() {
    let mut tester = Tester::new(Parameters { window: WindowKind::BY_TIME, ..exact() });
    let now = tester.now;
    tester.sleep(3 * SECOND);
    tester.calls(4, Outcome::Failed);
    // Threads may reach the breaker in another order than they read the clock.
    tester.now = now;
    tester.call(Outcome::Failed);
    assert_eq!(tester.snapshot().half_open_in, Some(5 * SECOND));
    assert!(tester.admit().is_err());
    tester.now = now + 5 * SECOND;
    assert!(tester.admit().is_ok());
}
