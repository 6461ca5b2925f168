//! Comparisons of the calls of an interval.

use gantry_resilience::ejection::{Parameters, Reason};
use tokio::time::Instant;

use super::{SECOND, endpoints, with};

#[test]
fn a_success_rate_far_below_the_others_ejects() {
    let now = Instant::now();
    let set = endpoints(6, now);
    for name in 0..5 {
        set.serve(name, 100, 1, now);
    }
    set.serve(5, 100, 20, now);
    let ejected = set.detector.succeeded(&set.all[0], now + 10 * SECOND);
    assert_eq!(ejected.len(), 1);
    assert_eq!((ejected[0].key, ejected[0].reason), (5, Reason::SuccessRate));
    assert_eq!(ejected[0].time, 30 * SECOND);
    assert_eq!(set.ejected(now + 10 * SECOND), [5]);
}

#[test]
fn a_success_rate_needs_a_hundred_calls_of_five_endpoints() {
    let start = Instant::now();
    // One of the four endpoints that hardly fail gets `fourth` calls, the failing one `fifth`.
    for (fourth, fifth, expected) in [(100, 100, 1), (99, 100, 0), (100, 99, 0)] {
        let set = endpoints(5, start);
        for (name, calls) in [100, 100, 100, fourth].into_iter().enumerate() {
            set.serve(name, calls, 1, start);
        }
        set.serve(4, fifth, 40, start);
        let ejected = set.detector.succeeded(&set.all[0], start + 10 * SECOND);
        assert_eq!(ejected.len(), expected, "{fourth} and {fifth} calls");
    }
}

#[test]
fn a_success_rate_within_the_spread_of_all_ejects_nobody() {
    let start = Instant::now();
    let set = endpoints(6, start);
    // Mean 75 %, deviation 17.1 %: the lowest would have to be below 42.5 %.
    for (name, failures) in [0, 10, 20, 30, 40, 50].into_iter().enumerate() {
        set.serve(name, 100, failures, start);
    }
    assert!(set.detector.succeeded(&set.all[0], start + 10 * SECOND).is_empty());
}

#[test]
fn a_failure_percentage_above_85_ejects() {
    let start = Instant::now();
    for (failures, expected) in [(85, 0), (86, 2)] {
        // Two of five are half of the set. Their spread hides them from the success rates.
        let set =
            with(Parameters { consecutive_failures: 1000, ..Parameters::default() }, 5, start);
        for (name, failures) in [0, 0, 0, failures, failures].into_iter().enumerate() {
            set.serve(name, 100, failures, start);
        }
        let ejected = set.detector.succeeded(&set.all[0], start + 10 * SECOND);
        assert_eq!(ejected.len(), expected, "{failures} %");
        assert!(ejected.iter().all(|one| one.reason == Reason::FailurePercentage));
    }
}

#[test]
fn a_failure_percentage_needs_fifty_calls_of_five_endpoints() {
    let start = Instant::now();
    let parameters =
        Parameters { consecutive_failures: 1000, success_rate: None, ..Parameters::default() };
    for (number, calls, expected) in [(5, 50, 1), (5, 49, 0), (4, 50, 0)] {
        let set = with(parameters, number, start);
        for name in 1..number {
            set.serve(name, 50, 0, start);
        }
        set.fail(0, calls, start);
        let ejected = set.detector.succeeded(&set.all[1], start + 10 * SECOND);
        assert_eq!(ejected.len(), expected, "{calls} calls, {number} endpoints");
    }
}

#[test]
fn with_fewer_than_five_endpoints_only_failures_in_a_row_eject() {
    let start = Instant::now();
    let set = endpoints(4, start);
    for name in 0..3 {
        set.serve(name, 1000, 0, start);
    }
    // Four of five calls fail: never five in a row.
    set.serve(3, 1000, 800, start);
    assert!(set.detector.succeeded(&set.all[0], start + 10 * SECOND).is_empty());
    assert!(set.ejected(start + 10 * SECOND).is_empty());
}

#[test]
fn the_worst_are_ejected_first_if_there_are_too_many() {
    let start = Instant::now();
    let parameters = Parameters { consecutive_failures: 1000, ..Parameters::default() };
    let set = with(parameters, 5, start);
    for (name, failures) in [90, 100, 95, 0, 0].into_iter().enumerate() {
        set.serve(name, 100, failures, start);
    }
    let ejected = set.detector.succeeded(&set.all[4], start + 10 * SECOND);
    let names: Vec<_> = ejected.iter().map(|one| one.key).collect();
    assert_eq!(names, [1, 2]);
}

#[test]
fn calls_are_looked_at_every_ten_seconds_and_then_forgotten() {
    let start = Instant::now();
    let parameters = Parameters { consecutive_failures: 1000, ..Parameters::default() };
    let set = with(parameters, 5, start);
    let serve = |now| {
        (0..4).for_each(|name| set.serve(name, 30, 0, now));
        set.fail(4, 30, now)
    };
    // 30 calls each within every interval: never 50.
    for interval in 0..10 {
        assert_eq!(serve(start + interval * 10 * SECOND), []);
    }
    assert_eq!(serve(start + 95 * SECOND), []);
    let ejected = set.detector.succeeded(&set.all[0], start + 100 * SECOND);
    assert_eq!(ejected.first().map(|one| one.key), Some(4), "60 within the last one");
}

#[test]
fn calls_of_before_a_long_silence_eject_nobody() {
    let start = Instant::now();
    let parameters = Parameters { consecutive_failures: 1000, ..Parameters::default() };
    let set = with(parameters, 5, start);
    (0..4).for_each(|name| set.serve(name, 100, 0, start));
    set.fail(4, 100, start);
    assert!(set.detector.succeeded(&set.all[0], start + 60 * SECOND).is_empty());
    assert_eq!(set.detector.snapshot(start + 60 * SECOND)[4].failures, 0);
}
