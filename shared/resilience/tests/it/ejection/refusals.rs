//! Endpoints that refuse calls, alone or together with the others.

use gantry_resilience::ejection::{Parameters, Reason};
use tokio::time::Instant;

use super::{Endpoints, SECOND, endpoints, with};

impl Endpoints {
    /// Returns true if the refusal ejected the endpoint.
    fn refuse(&self, name: usize, now: Instant) -> bool {
        let ejected = self.detector.refused(&self.all[name], now);
        assert!(ejected.iter().all(|one| (one.key, one.reason) == (name, Reason::Refusals)));
        !ejected.is_empty()
    }
}

/// Returns the number of refusals of endpoint 0 until it is ejected; `None` after 1,000. Meanwhile
/// each other endpoint gets `each` calls per refusal, and one in `refused` of them is a
/// refusal too.
fn until_ejected(set: &Endpoints, each: usize, refused: usize, now: Instant) -> Option<usize> {
    let mut calls = 0;
    (1..=1_000).find(|_| {
        for name in 1..set.all.len() {
            for _ in 0..each {
                calls += 1;
                if refused > 0 && calls % refused == 0 {
                    set.refuse(name, now);
                } else {
                    set.succeed(name, 1, now);
                }
            }
        }
        set.refuse(0, now)
    })
}

#[test]
fn an_endpoint_that_alone_refuses_is_ejected_after_a_few_calls() {
    let now = Instant::now();
    for (number, at_most) in [(2, 20), (3, 15), (4, 15), (1_000, 10)] {
        let set = endpoints(number, now);
        let calls = until_ejected(&set, 1, 0, now);
        assert!(calls.is_some_and(|calls| calls <= at_most), "{calls:?} of {number} endpoints");
        assert_eq!(set.ejected(now), [0]);
        assert!(set.ejected(now + 30 * SECOND).is_empty());
    }
}

#[test]
fn it_is_ejected_while_the_others_refuse_now_and_then() {
    let now = Instant::now();
    for (refused, at_most) in [(100, 15), (10, 20), (3, 40)] {
        let set = endpoints(4, now);
        let calls = until_ejected(&set, 1, refused, now);
        assert!(calls.is_some_and(|calls| calls <= at_most), "{calls:?}, one in {refused}");
    }
}

#[test]
fn when_all_refuse_nobody_is_ejected() {
    let now = Instant::now();
    for number in 1..6 {
        let set = endpoints(number, now);
        // Healthy at first: a rate from that time would condemn the first endpoint that refuses.
        (0..number).for_each(|name| set.succeed(name, 1_000, now));
        for _ in 0..1_000 {
            assert!((0..number).all(|name| !set.refuse(name, now)), "of {number} endpoints");
        }
    }
}

#[test]
fn calls_that_only_one_endpoint_gets_eject_nobody() {
    let now = Instant::now();
    let set = endpoints(4, now);
    (1..4).for_each(|name| set.succeed(name, 1_000, now));
    for call in 0..1_000 {
        assert!(!set.refuse(0, now + call * SECOND / 10));
    }
    let single = endpoints(1, now);
    assert!((0..1_000).all(|_| !single.refuse(0, now)));
}

#[test]
fn refusals_that_come_in_turns_with_successes_eject_nobody() {
    let now = Instant::now();
    let set = endpoints(4, now);
    for _ in 0..1_000 {
        (1..4).for_each(|name| set.succeed(name, 10, now));
        assert!((0..4).all(|_| !set.refuse(0, now)));
        set.succeed(0, 1, now);
    }
}

#[test]
fn calls_that_are_refused_at_random_eject_nobody() {
    let start = Instant::now();
    // At each rate a million calls, spread over an hour.
    for percent in [1, 10, 30, 50, 90, 99] {
        let set = endpoints(4, start);
        let mut rng = fastrand::Rng::with_seed(percent);
        for call in 0..1_000_000 {
            let (name, now) = (rng.usize(..4), start + call * SECOND / 277);
            if rng.u64(..100) < percent {
                assert!(!set.refuse(name, now), "{percent} % of the calls");
            } else {
                set.succeed(name, 1, now);
            }
        }
    }
}

#[test]
fn a_comparison_outlives_a_look_and_ends_with_its_set() {
    let start = Instant::now();
    let set = endpoints(4, start);
    for _ in 0..9 {
        assert!(!set.refuse(0, start));
        (1..4).for_each(|name| set.succeed(name, 1, start));
    }
    // The counts restart; the others' calls from then on suffice.
    let now = start + 10 * SECOND;
    let calls = until_ejected(&set, 1, 0, now);
    assert!(calls.is_some_and(|calls| calls <= 15), "{calls:?}");

    let set = endpoints(4, start);
    for _ in 0..9 {
        assert!(!set.refuse(0, start));
        (1..4).for_each(|name| set.succeed(name, 100, start));
    }
    set.detector.replace([0, 7, 8, 9], start);
    assert!((0..100).all(|_| !set.refuse(0, start)), "nobody else has answered yet");
}

#[test]
fn failing_and_refusing_in_turns_ejects_an_endpoint() {
    let now = Instant::now();
    let set = endpoints(4, now);
    for _ in 0..100 {
        assert_eq!(set.fail(1, 4, now), []);
        set.refuse(1, now);
        (2..4).for_each(|name| set.succeed(name, 1, now));
        if set.ejected(now) == [1] {
            return;
        }
    }
    panic!("it fails and refuses in turns and was not ejected");
}

#[test]
fn nobody_is_ejected_for_refusals_if_that_is_off() {
    let now = Instant::now();
    let set = with(Parameters { refusals: false, ..Parameters::default() }, 4, now);
    assert_eq!(until_ejected(&set, 10, 0, now), None);
    let set = with(Parameters { max_ejected_percent: 0, ..Parameters::default() }, 4, now);
    assert_eq!(until_ejected(&set, 10, 0, now), None);
}
