//! Estimates of the time to headers, and choices based on them.

use std::{collections::HashMap, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Outcome};
use tokio::time::Instant;

use super::{Endpoint, MS, all, endpoint, endpoints, teach};

/// Returns the number of calls that each endpoint gets of `calls` sequential ones.
fn shares(balancer: &Balancer<Endpoint>, mut now: Instant, calls: usize) -> HashMap<usize, usize> {
    let mut rng = Rng::with_seed(7);
    let mut shares = HashMap::new();
    for _ in 0..calls {
        now += Duration::from_micros(10);
        let picked = balancer.pick(now, &mut rng, true, all).unwrap();
        *shares.entry(picked.member().0.name).or_default() += 1;
    }
    shares
}

#[test]
fn an_empty_set_picks_nothing() {
    let now = Instant::now();
    let mut rng = Rng::with_seed(1);
    let empty = Balancer::<Endpoint>::new([], now);
    assert!(empty.pick(now, &mut rng, true, all).is_none());
    let balancer = Balancer::new(endpoints(3, now), now);
    assert!(balancer.pick(now, &mut rng, true, |_| false).is_none());
}

#[test]
fn a_slow_endpoint_gets_hardly_any_calls() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(3, now), now);
    teach(&balancer, now, |name| if name == 0 { 100 * MS } else { 5 * MS });
    let shares = shares(&balancer, now, 10_000);
    assert_eq!(shares.get(&0), None, "{shares:?}");
}

#[test]
fn an_endpoint_that_fails_fast_does_not_attract_calls() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(2, now), now);
    teach(&balancer, now, |_| 20 * MS);
    let mut failed = balancer.pick(now, &mut Rng::with_seed(3), false, |e| e.0.name == 0).unwrap();
    failed.learn(now + MS, Outcome::Failed);
    drop(failed);
    let shares = shares(&balancer, now, 1_000);
    assert_eq!(shares.get(&0), None, "{shares:?}");
}

#[test]
fn equal_endpoints_share_what_is_in_flight() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(3, now), now);
    teach(&balancer, now, |_| 5 * MS);
    let mut rng = Rng::with_seed(7);
    let held: Vec<_> =
        (0..300).map(|_| balancer.pick(now, &mut rng, false, all).unwrap()).collect();
    for member in balancer.members() {
        assert!((95..=105).contains(&member.load().in_flight()), "{member:?}");
    }
    drop(held);
    assert!(balancer.members().iter().all(|member| member.load().in_flight() == 0));
}

#[test]
fn a_weight_of_three_gets_three_times_the_calls() {
    let now = Instant::now();
    let balancer = Balancer::new([endpoint(0, 1, now), endpoint(1, 3, now)], now);
    teach(&balancer, now, |_| 5 * MS);
    let mut rng = Rng::with_seed(7);
    let held: Vec<_> =
        (0..400).map(|_| balancer.pick(now, &mut rng, false, all).unwrap()).collect();
    let heavy = balancer.members()[1].load().in_flight();
    assert!((295..=305).contains(&heavy), "{heavy}");
    drop(held);
}

#[test]
fn a_joiner_gets_the_next_call_and_only_one() {
    let now = Instant::now();
    let mut members = endpoints(3, now);
    teach(&Balancer::new(members.clone(), now), now, |_| MS);
    members.push(endpoint(3, 1, now));
    let balancer = Balancer::new(members, now);
    let mut rng = Rng::with_seed(7);

    let mut first = balancer.pick(now, &mut rng, false, all).unwrap();
    assert_eq!(first.member().0.name, 3);
    let more: Vec<_> =
        (0..100).map(|_| balancer.pick(now, &mut rng, false, all).unwrap()).collect();
    assert!(more.iter().all(|picked| picked.member().0.name != 3));
    drop(more);

    first.learn(now + MS, Outcome::Answered);
    drop(first);
    assert!(shares(&balancer, now + MS, 1_000)[&3] > 150);
}

#[test]
fn a_joiner_whose_first_call_was_cancelled_gets_another() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(1, now), now);
    let mut rng = Rng::with_seed(7);
    let mut cancelled = balancer.pick(now, &mut rng, false, all).unwrap();
    cancelled.learn(now + MS, Outcome::Abandoned);
    drop(cancelled);
    drop(balancer.pick(now + MS, &mut rng, false, all).unwrap());
    let again = balancer.pick(now + MS, &mut rng, false, all).unwrap();
    assert_eq!(again.member().load().estimate(now), None, "nothing was learned of it");
    assert_eq!(again.member().load().in_flight(), 1);
}

#[test]
fn an_endpoint_that_is_forgotten_is_tried_again_with_one_call() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(3, now), now);
    teach(&balancer, now, |_| MS);
    let mut rng = Rng::with_seed(7);
    let mut failed = balancer.pick(now, &mut rng, false, |e| e.0.name == 0).unwrap();
    failed.learn(now + MS, Outcome::Failed);
    drop(failed);
    balancer.members()[0].load().forget();
    let held: Vec<_> =
        (0..100).map(|_| balancer.pick(now, &mut rng, false, all).unwrap()).collect();
    let tried = held.iter().filter(|picked| picked.member().0.name == 0).count();
    assert_eq!(tried, 1);
}

#[test]
fn a_joiner_that_becomes_usable_later_is_found_soon() {
    let now = Instant::now();
    let mut members = endpoints(2, now);
    teach(&Balancer::new(members.clone(), now), now, |_| MS);
    members.push(endpoint(2, 1, now));
    let balancer = Balancer::new(members, now);
    let mut rng = Rng::with_seed(7);
    let connecting = |endpoint: &Endpoint| endpoint.0.name != 2;
    assert_ne!(balancer.pick(now, &mut rng, false, connecting).unwrap().member().0.name, 2);
    let found = balancer.pick(now + 2 * MS, &mut rng, false, all).unwrap();
    assert_eq!(found.member().0.name, 2);
}

#[test]
fn a_cold_set_is_shared_by_a_burst() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(3, now), now);
    let mut rng = Rng::with_seed(7);
    let held: Vec<_> = (0..64).map(|_| balancer.pick(now, &mut rng, true, all).unwrap()).collect();
    for member in balancer.members() {
        assert!((19..=24).contains(&member.load().in_flight()), "{member:?}");
    }
    drop(held);
}

#[test]
fn a_starved_endpoint_gets_a_call_every_three_seconds() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(2, now), now);
    teach(&balancer, now, |name| if name == 0 { 5_000 * MS } else { MS });
    let run = |mut now: Instant, repeatable| {
        let mut rng = Rng::with_seed(7);
        let mut starved = 0;
        for _ in 0..10_000 {
            now += MS;
            let picked = balancer.pick(now, &mut rng, repeatable, all).unwrap();
            starved += usize::from(picked.member().0.name == 0);
        }
        starved
    };
    assert_eq!(run(now, false), 0);
    assert_eq!(run(now, true), 3);
}

#[test]
fn a_peak_counts_at_once_and_is_forgotten_over_ten_seconds() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(1, now), now);
    let call = |at: Instant, took: Duration| {
        let mut picked = balancer.pick(at, &mut Rng::with_seed(1), false, all).unwrap();
        picked.learn(at + took, Outcome::Answered);
    };
    let estimate = |at| balancer.members()[0].load().estimate(at).unwrap().as_secs_f32();
    call(now, 10 * MS);
    assert!((estimate(now) - 0.010).abs() < 0.000_1);
    call(now, 1_000 * MS);
    let peak = now + 1_000 * MS;
    assert!((estimate(peak) - 1.0).abs() < 0.001);
    call(peak, MS);
    assert!(estimate(peak) > 0.99, "one fast answer does not undo it");
    let later = peak + Duration::from_secs(10);
    assert!((estimate(later) - 0.367_9).abs() < 0.001, "{}", estimate(later));
}

#[test]
fn a_failure_counts_as_five_seconds_or_as_its_pushback() {
    let now = Instant::now();
    for (outcome, seconds) in [
        (Outcome::Failed, 5),
        (Outcome::FailedFor(Duration::ZERO), 5),
        (Outcome::FailedFor(Duration::from_secs(60)), 60),
        (Outcome::FailedFor(Duration::MAX), 300),
    ] {
        let balancer = Balancer::new(endpoints(1, now), now);
        let mut picked = balancer.pick(now, &mut Rng::with_seed(1), false, all).unwrap();
        picked.learn(now + MS, outcome);
        let estimate = |at| picked.member().load().estimate(at).unwrap().as_secs_f32();
        assert_eq!(estimate(now + MS), seconds as f32, "{outcome:?}");
        let later = estimate(now + MS + Duration::from_secs(10)) / seconds as f32;
        assert!((later - 0.367_9).abs() < 0.001, "it decays: {later}");
    }
}

#[test]
fn a_refusal_never_lowers_an_estimate() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(1, now), now);
    let call = |at: Instant, took: Duration, outcome| {
        let mut picked = balancer.pick(at, &mut Rng::with_seed(1), false, all).unwrap();
        picked.learn(at + took, outcome);
    };
    let estimate = |at| balancer.members()[0].load().estimate(at).unwrap().as_secs_f32();
    let is = |at, millis: f32| {
        let estimate = 1_000.0 * estimate(at);
        assert!((estimate - millis).abs() < 0.5, "{estimate} ms, not {millis}");
    };
    // Unknown: as good as the others of its set, which are unknown too.
    call(now, MS, Outcome::Refused);
    is(now + MS, 30.0);
    call(now + MS, 50 * MS, Outcome::Answered);
    let mut later = now + 1_000 * MS;
    let before = estimate(later);
    (0..1_000).for_each(|_| call(later, Duration::ZERO, Outcome::Refused));
    assert!(estimate(later) >= before);
    is(later, 50.0);
    call(later, 800 * MS, Outcome::Refused);
    is(later + 800 * MS, 800.0);
    // A peak decays to the last success and no further.
    for _ in 0..1_000 {
        later += 100 * MS;
        call(later, Duration::ZERO, Outcome::Refused);
    }
    is(later, 50.0);
    call(later, 5 * MS, Outcome::Answered);
    for _ in 0..1_000 {
        later += 100 * MS;
        call(later, Duration::ZERO, Outcome::Refused);
    }
    is(later, 5.0);
}

#[test]
fn unanswered_late_calls_make_an_endpoint_slow() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(1, now), now);
    let mut late = balancer.pick(now, &mut Rng::with_seed(1), false, all).unwrap();
    late.learn(now + 1_000 * MS, Outcome::Abandoned);
    let load = late.member().load();
    assert_eq!(load.estimate(now + 1_000 * MS), Some(Duration::from_secs(1)));
}

#[test]
fn a_long_silent_endpoint_gets_one_call_of_a_burst() {
    let now = Instant::now();
    let balancer = Balancer::new(endpoints(3, now), now);
    teach(&balancer, now, |_| 5 * MS);
    let mut rng = Rng::with_seed(7);
    let mut call = |at: Instant, name: usize, outcome| {
        let one = |endpoint: &Endpoint| endpoint.0.name == name;
        balancer.pick(at, &mut rng, false, one).unwrap().learn(at + 5 * MS, outcome);
    };
    call(now, 0, Outcome::Failed);
    let later = now + Duration::from_secs(29);
    call(later, 1, Outcome::Answered);
    call(later, 2, Outcome::Answered);
    assert_eq!(balancer.members()[0].load().estimate(later), None);
    let mut rng = Rng::with_seed(7);
    let burst: Vec<_> =
        (0..64).map(|_| balancer.pick(later, &mut rng, false, all).unwrap()).collect();
    let [back, other, third] = [0, 1, 2].map(|name| balancer.members()[name].load().in_flight());
    assert_eq!(back, 1, "{other} {third}");
    drop(burst);
}

#[test]
fn an_endpoint_that_idled_for_days_is_not_starved() {
    let now = Instant::now();
    for hours in [1, 60, 72, 119, 240] {
        let balancer = Balancer::new(endpoints(2, now), now);
        teach(&balancer, now, |name| if name == 0 { 5_000 * MS } else { MS });
        let later = now + Duration::from_secs(hours * 3_600);
        assert!(shares(&balancer, later, 1_000_000)[&0] > 0, "after {hours} hours");
    }
}
