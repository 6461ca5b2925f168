//! Invariants under every sequence of events.

use std::time::Duration;

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Outcome, Picked, Policy, Standing};
use proptest::prelude::*;
use tokio::time::Instant;

use super::{Endpoint, MS, all, endpoint};

/// Number of endpoints; a set has some of them.
const MANY: usize = 12;

#[derive(Clone, Debug)]
enum Step {
    Pick { repeatable: bool, standings: Vec<Standing> },
    Learn { which: usize, outcome: Outcome, after: u64 },
    Drop { which: usize },
    Swap { set: u16 },
    Jump { millis: u64 },
    Skew { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let standing = prop_oneof![
        3 => Just(Standing::Fit),
        1 => Just(Standing::Tried),
        1 => Just(Standing::Ejected),
        2 => Just(Standing::Unusable),
    ];
    let standings = proptest::collection::vec(standing, MANY);
    let outcome = prop_oneof![
        Just(Outcome::Answered),
        Just(Outcome::Refused),
        Just(Outcome::Failed),
        Just(Outcome::Abandoned),
        (0_u64..1_000).prop_map(|seconds| Outcome::FailedFor(Duration::from_secs(seconds))),
    ];
    prop_oneof![
        6 => (any::<bool>(), standings)
            .prop_map(|(repeatable, standings)| Step::Pick { repeatable, standings }),
        3 => (any::<usize>(), outcome, 0_u64..10_000)
            .prop_map(|(which, outcome, after)| Step::Learn { which, outcome, after }),
        3 => any::<usize>().prop_map(|which| Step::Drop { which }),
        1 => any::<u16>().prop_map(|set| Step::Swap { set }),
        1 => (0_u64..1_000_000_000).prop_map(|millis| Step::Jump { millis }),
        1 => (0_u64..1_000).prop_map(|millis| Step::Skew { millis }),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        2 => Just(Policy::PeakEwma),
        1 => Just(Policy::LeastRequest),
        1 => Just(Policy::RoundRobin),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs picks, outcomes, cancellations, new sets and a clock that jumps ahead or differs
    /// between threads. The calls in flight are exact, no member is picked while another has a
    /// better standing, `None` is returned only if all are unusable, and every estimate is valid.
    /// At the end each endpoint gets calls again.
    #[test]
    fn the_balancer_keeps_its_books(
        policy in policy(),
        weights in proptest::collection::vec(0_u32..5, MANY),
        steps in proptest::collection::vec(step(), 0..200),
    ) {
        let mut now = Instant::now();
        let all_of_them: Vec<Endpoint> =
            weights.iter().enumerate().map(|(name, weight)| endpoint(name, *weight, now)).collect();
        let mut balancer = Balancer::with_policy(policy, all_of_them.clone(), now);
        let mut rng = Rng::with_seed(7);
        let mut held: Vec<Picked<Endpoint>> = Vec::new();
        for step in steps {
            match step {
                Step::Pick { repeatable, standings } => {
                    let standing = |endpoint: &Endpoint| standings[endpoint.0.name];
                    let best = balancer.members().iter().map(standing).min();
                    let best = best.filter(|best| *best != Standing::Unusable);
                    let picked = balancer.pick(now, &mut rng, repeatable, standing);
                    prop_assert_eq!(picked.as_ref().map(|picked| standing(picked.member())), best);
                    held.extend(picked);
                }
                Step::Learn { which, outcome, after } if !held.is_empty() => {
                    let which = which % held.len();
                    held[which].learn(now + Duration::from_millis(after), outcome);
                }
                Step::Drop { which } if !held.is_empty() => {
                    held.swap_remove(which % held.len());
                }
                Step::Learn { .. } | Step::Drop { .. } => {}
                Step::Swap { set } => {
                    let set = all_of_them.iter().filter(|one| set & (1 << one.0.name) != 0);
                    balancer = Balancer::with_policy(policy, set.cloned(), now);
                }
                Step::Jump { millis } => now += Duration::from_millis(millis),
                Step::Skew { millis } => now -= Duration::from_millis(millis),
            }
            for one in &all_of_them {
                let expected = held.iter().filter(|held| held.member().0.name == one.0.name);
                prop_assert_eq!(one.load().in_flight() as usize, expected.count());
                // A negative or infinite estimate would panic. All jumps together are years.
                if let Some(estimate) = one.load().estimate(now) {
                    prop_assert!(estimate <= Duration::from_secs(200_000_000));
                }
            }
        }

        held.clear();
        let mut calls = [0; MANY];
        for _ in 0..1_000 {
            now += 10 * MS;
            let Some(mut picked) = balancer.pick(now, &mut rng, true, all) else { continue };
            calls[picked.member().0.name] += 1;
            picked.learn(now + MS, Outcome::Answered);
        }
        for member in balancer.members() {
            prop_assert!(calls[member.0.name] > 0, "{member:?} is starved: {calls:?}");
        }
    }
}

#[test]
fn threads_that_share_it_lose_no_call() {
    let now = Instant::now();
    let members: Vec<Endpoint> = (0..8).map(|name| endpoint(name, 1, now)).collect();
    for round in 0..200 {
        let balancer = Balancer::new(members.clone(), now);
        let known = endpoint(MANY, 1, now);
        let one = Balancer::new([known.clone()], now);
        one.pick(now, &mut Rng::with_seed(1), false, all)
            .unwrap()
            .learn(now + MS, Outcome::Answered);
        let mixed = Balancer::new([endpoint(0, 1, now), known], now);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (balancer, mixed) = (&balancer, &mixed);
                scope.spawn(move || {
                    let mut rng = Rng::with_seed(round * 4 + thread);
                    for _ in 0..50 {
                        let tried = mixed.pick(now, &mut rng, false, all).unwrap();
                        assert!(
                            tried.member().0.name != 0 || tried.member().load().in_flight() == 1
                        );
                        drop(tried);
                    }
                    let held: Vec<_> =
                        (0..50).map(|_| balancer.pick(now, &mut rng, true, all).unwrap()).collect();
                    drop(held);
                });
            }
        });
        assert!(members.iter().all(|member| member.load().in_flight() == 0));
    }
}
