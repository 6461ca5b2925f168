//! How the balancer chooses, on a clock of the test's own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Load, Outcome, Picked};
use proptest::prelude::*;
use tokio::time::Instant;

#[derive(Clone, Debug)]
struct Endpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: usize,
    weight: u32,
    load: Load,
}

impl Candidate for Endpoint {
    fn load(&self) -> &Load {
        &self.0.load
    }

    fn weight(&self) -> u32 {
        self.0.weight
    }
}

fn endpoint(name: usize, weight: u32, now: Instant) -> Endpoint {
    Endpoint(Arc::new(Inner { name, weight, load: Load::new(now) }))
}

fn endpoints(count: usize, now: Instant) -> Vec<Endpoint> {
    (0..count).map(|name| endpoint(name, 1, now)).collect()
}

const MS: Duration = Duration::from_millis(1);

fn all(_: &Endpoint) -> bool {
    true
}

/// Makes each endpoint known with this time to headers.
fn teach(balancer: &Balancer<Endpoint>, now: Instant, took: impl Fn(usize) -> Duration) {
    for _ in balancer.members() {
        let mut picked = balancer.pick(now, &mut Rng::with_seed(1), true, all).unwrap();
        let name = picked.member().0.name;
        picked.learn(now + took(name), Outcome::Answered);
    }
}

/// The calls each endpoint gets of `calls` that are made one after the other.
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
fn nothing_to_pick_from_is_nothing_picked() {
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
fn a_joiner_gets_the_next_call_and_no_second_before_it_answered() {
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
fn a_joiner_that_becomes_usable_later_is_found_within_milliseconds() {
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
fn a_starved_endpoint_gets_one_repeatable_call_every_three_seconds() {
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

#[derive(Clone, Debug)]
enum Step {
    Pick { repeatable: bool },
    Learn { which: usize, outcome: Outcome, after: u64 },
    Drop { which: usize },
    Pass { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let outcome =
        prop_oneof![Just(Outcome::Answered), Just(Outcome::Failed), Just(Outcome::Abandoned)];
    prop_oneof![
        4 => any::<bool>().prop_map(|repeatable| Step::Pick { repeatable }),
        3 => (any::<usize>(), outcome, 0_u64..10_000)
            .prop_map(|(which, outcome, after)| Step::Learn { which, outcome, after }),
        3 => any::<usize>().prop_map(|which| Step::Drop { which }),
        1 => (0_u64..1_000_000).prop_map(|millis| Step::Pass { millis }),
    ]
}

proptest! {
    /// Whatever happens: counters are exact, unusable members are never picked, a
    /// usable one is always found, and no estimate becomes negative or infinite.
    #[test]
    fn the_balancer_keeps_its_books(
        count in 1_usize..12,
        down in any::<u16>(),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut now = Instant::now();
        let balancer = Balancer::new(endpoints(count, now), now);
        let usable = |endpoint: &Endpoint| down & (1 << endpoint.0.name) == 0;
        let some_usable = balancer.members().iter().any(usable);
        let mut rng = Rng::with_seed(7);
        let mut held: Vec<Picked<Endpoint>> = Vec::new();
        for step in steps {
            match step {
                Step::Pick { repeatable } => {
                    let picked = balancer.pick(now, &mut rng, repeatable, usable);
                    prop_assert_eq!(picked.is_some(), some_usable);
                    if let Some(picked) = picked {
                        prop_assert!(usable(picked.member()));
                        held.push(picked);
                    }
                }
                Step::Learn { which, outcome, after } if !held.is_empty() => {
                    let which = which % held.len();
                    held[which].learn(now + Duration::from_millis(after), outcome);
                }
                Step::Drop { which } if !held.is_empty() => {
                    held.swap_remove(which % held.len());
                }
                Step::Learn { .. } | Step::Drop { .. } => {}
                Step::Pass { millis } => now += Duration::from_millis(millis),
            }
            let mut in_flight = vec![0; count];
            for picked in &held {
                in_flight[picked.member().0.name] += 1;
            }
            for (member, expected) in balancer.members().iter().zip(in_flight) {
                prop_assert_eq!(member.load().in_flight(), expected);
                if let Some(estimate) = member.load().estimate(now) {
                    prop_assert!(estimate <= Duration::from_secs(1_000_000));
                }
            }
        }
    }
}
