//! Consecutive failures, the length of an ejection, and the maximum number of them.

use gantry_resilience::ejection::{Parameters, Reason};
use tokio::time::Instant;

use super::{SECOND, endpoints, in_a_row, with};

#[test]
fn five_failures_in_a_row_eject_at_once_and_no_fewer() {
    let now = Instant::now();
    let set = endpoints(3, now);
    assert_eq!(set.fail(0, 4, now), []);
    set.succeed(0, 1, now);
    assert_eq!(set.fail(0, 4, now), [], "the success ended the run");
    assert!(set.ejected(now).is_empty());
    assert_eq!(set.fail(0, 1, now), [in_a_row(0, 1, 30)]);
    assert_eq!(set.ejected(now), [0]);
}

#[test]
fn an_ejected_endpoint_returns_when_its_time_is_over() {
    let now = Instant::now();
    let set = endpoints(2, now);
    set.fail(0, 5, now);
    let back = now + 30 * SECOND;
    assert_eq!(set.ejected(back - SECOND / 1000), [0]);
    assert!(set.ejected(back).is_empty());
    assert_eq!(set.fail(0, 4, back), [], "it returns with a clean slate");
    assert_eq!(set.fail(0, 1, back), [in_a_row(0, 2, 60)]);
}

#[test]
fn responses_of_an_ejected_endpoint_do_not_count() {
    let now = Instant::now();
    let set = endpoints(2, now);
    set.fail(0, 5, now);
    assert_eq!(set.fail(0, 128, now + SECOND), [], "calls that were under way");
    set.succeed(0, 10, now + SECOND);
    let [ejected, _] = &set.detector.snapshot(now + SECOND)[..] else { panic!("two endpoints") };
    assert_eq!((ejected.consecutive_failures, ejected.successes, ejected.failures), (0, 0, 0));
    assert_eq!(set.fail(0, 4, now + 30 * SECOND), []);
}

#[test]
fn each_further_ejection_lasts_longer_up_to_five_minutes() {
    let mut now = Instant::now();
    let set = endpoints(2, now);
    for times in 1..=12 {
        let times = u32::min(times, 10);
        assert_eq!(set.fail(0, 5, now), [in_a_row(0, times, u64::from(times) * 30)]);
        now += times * 30 * SECOND;
    }
}

#[test]
fn each_interval_in_the_set_forgets_one_ejection() {
    let mut now = Instant::now();
    let set = endpoints(2, now);
    for times in 1..=3 {
        assert_eq!(set.fail(0, 5, now)[0].times, times);
        now += times * 30 * SECOND;
    }
    let times = |now: Instant| set.detector.snapshot(now)[0].times;
    assert_eq!(times(now - SECOND), 3, "not while it is ejected");
    assert_eq!(times(now + 9 * SECOND), 3);
    assert_eq!(times(now + 10 * SECOND), 2);
    assert_eq!(times(now + 29 * SECOND), 1);
    assert_eq!(times(now + 1000 * SECOND), 0);
    assert_eq!(set.fail(0, 5, now + 20 * SECOND), [in_a_row(0, 2, 60)]);
    assert_eq!(set.detector.snapshot(now)[0].ejections, 4);
}

#[test]
fn at_most_half_is_ejected_but_one_if_another_remains() {
    let now = Instant::now();
    for (endpoints, most) in
        [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (9, 4), (10, 5)]
    {
        let set = super::endpoints(endpoints, now);
        for name in 0..endpoints {
            set.fail(name, 5, now);
        }
        assert_eq!(set.ejected(now).len(), most, "of {endpoints}");
    }
}

#[test]
fn another_limit_holds_likewise() {
    let now = Instant::now();
    let rows = [(0, 10, 0), (1, 10, 1), (10, 3, 1), (10, 25, 2), (34, 3, 1), (100, 3, 2)];
    for (max_ejected_percent, endpoints, most) in rows {
        let set = with(Parameters { max_ejected_percent, ..Parameters::default() }, endpoints, now);
        for name in 0..endpoints {
            set.fail(name, 5, now);
        }
        assert_eq!(set.ejected(now).len(), most, "{max_ejected_percent} % of {endpoints}");
    }
}

#[test]
fn all_endpoints_ejected_cannot_be() {
    let mut now = Instant::now();
    let set = endpoints(3, now);
    // In a total outage of an hour one endpoint can be picked at every moment.
    for _ in 0..36_000 {
        now += SECOND / 10;
        for name in 0..3 {
            set.detector.failed(&set.all[name], now);
        }
        assert!(set.ejected(now).len() <= 1);
    }
}

#[test]
fn a_freed_place_ejects_one_at_its_next_failure() {
    let now = Instant::now();
    let set = endpoints(3, now);
    set.fail(0, 5, now);
    assert_eq!(set.fail(1, 200, now + 29 * SECOND), []);
    assert_eq!(set.ejected(now + 29 * SECOND), [0]);
    assert_eq!(set.fail(1, 1, now + 30 * SECOND), [in_a_row(1, 1, 30)]);
    assert_eq!(set.ejected(now + 30 * SECOND), [1]);
}

#[test]
fn a_place_is_free_as_soon_as_the_first_one_is_back() {
    let now = Instant::now();
    let set = endpoints(4, now);
    set.fail(0, 5, now);
    set.fail(1, 5, now + 20 * SECOND);
    assert_eq!(set.fail(2, 5, now + 29 * SECOND), []);
    assert_eq!(set.fail(2, 1, now + 30 * SECOND), [in_a_row(2, 1, 30)]);
    assert_eq!(set.ejected(now + 30 * SECOND), [1, 2]);
}

#[test]
fn an_empty_set_works() {
    let now = Instant::now();
    let set = endpoints(0, now);
    assert!(set.detector.snapshot(now).is_empty());
    let set = endpoints(1, now);
    let gone = set.detector.replace([], now);
    assert!(gone.is_empty());
    assert_eq!(set.fail(0, 100, now + 11 * SECOND), [], "of one that has left");
}

#[test]
fn a_new_set_keeps_the_state_of_those_that_stay() {
    let now = Instant::now();
    let set = endpoints(4, now);
    set.fail(0, 5, now);
    set.fail(1, 4, now);
    let mut now = now + SECOND;
    let all = set.detector.replace([1, 0, 7, 0], now);
    let names: Vec<_> = all.iter().map(|one| *one.key()).collect();
    assert_eq!(names, [1, 0, 7, 0], "in the order given, and the same one twice");
    let set = super::Endpoints { all, ..set };
    assert_eq!(set.ejected(now), [0, 0]);
    now += 40 * SECOND;
    assert_eq!(set.fail(0, 1, now), [in_a_row(1, 1, 30)], "the fifth failure of 1");
}

#[test]
fn one_that_leaves_is_no_longer_ejected_and_comes_back_unknown() {
    let now = Instant::now();
    let set = endpoints(2, now);
    set.fail(0, 5, now);
    set.detector.replace([1], now);
    assert!(!set.all[0].is_ejected(now));
    let all = set.detector.replace([0, 1], now);
    assert!(!all[0].is_ejected(now));
    assert_eq!(set.fail(0, 100, now), [], "the endpoint of before is none of the set");
    assert_eq!(set.detector.snapshot(now)[0].times, 0);
    let set = super::Endpoints { all, ..set };
    assert_eq!(set.fail(0, 5, now), [in_a_row(0, 1, 30)]);
}

#[test]
fn a_shrinking_set_returns_the_soonest_to_end_first() {
    let now = Instant::now();
    let set = endpoints(6, now);
    for (name, later) in [(0, 2), (1, 0), (2, 1)] {
        assert_eq!(set.fail(name, 5, now + later * SECOND).len(), 1);
    }
    let now = now + 3 * SECOND;
    set.detector.replace(0..5, now);
    assert_eq!(set.ejected(now), [0, 2]);
    set.detector.replace(0..3, now);
    assert_eq!(set.ejected(now), [0]);
    set.detector.replace([0], now);
    assert!(set.ejected(now).is_empty());
    assert_eq!(set.fail(0, 100, now), [], "the only one is never ejected");
    set.detector.replace([0, 9], now);
    assert_eq!(set.fail(0, 1, now).len(), 1, "with another one beside it, it is at once");
}

#[test]
fn a_snapshot_has_the_state_of_each_endpoint() {
    let now = Instant::now();
    let set = endpoints(3, now);
    set.serve(2, 10, 4, now);
    set.fail(0, 5, now);
    let [ejected, unused, used] = &set.detector.snapshot(now)[..] else { panic!("three") };
    assert_eq!(ejected.ejected_until, Some(now + 30 * SECOND));
    assert_eq!(ejected.reason, Some(Reason::ConsecutiveFailures));
    assert_eq!((ejected.times, ejected.ejections), (1, 1));
    assert_eq!((unused.key, unused.ejected_until, unused.reason), (1, None, None));
    assert_eq!((used.successes, used.failures), (6, 4));
    let later = &set.detector.snapshot(now + 30 * SECOND)[0];
    assert_eq!((later.ejected_until, later.ejections), (None, 1));
}
