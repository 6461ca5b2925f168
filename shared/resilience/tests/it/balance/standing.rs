//! Standings of endpoints.

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Policy, Standing};
use tokio::time::Instant;

use super::{MS, endpoints, teach};

const POLICIES: [Policy; 3] = [Policy::PeakEwma, Policy::LeastRequest, Policy::RoundRobin];

#[test]
fn an_avoided_endpoint_is_picked_only_as_a_last_resort() {
    use Standing::{Ejected, Fit, Tried, Unusable};
    let now = Instant::now();
    for policy in POLICIES {
        let balancer = Balancer::with_policy(policy, endpoints(4, now), now);
        for (standings, expected) in [
            ([Fit, Tried, Ejected, Unusable], Some(0)),
            ([Unusable, Tried, Ejected, Fit], Some(3)),
            ([Unusable, Ejected, Tried, Ejected], Some(2)),
            ([Unusable, Ejected, Unusable, Unusable], Some(1)),
            ([Unusable; 4], None),
        ] {
            for seed in 0..100 {
                let mut rng = Rng::with_seed(seed);
                let picked = balancer
                    .pick(now, &mut rng, true, |one: &super::Endpoint| standings[one.0.name]);
                let name = picked.map(|picked| picked.member().0.name);
                assert_eq!(name, expected, "{policy:?} {standings:?}");
            }
        }
    }
}

#[test]
fn if_all_are_ejected_all_are_picked() {
    let now = Instant::now();
    for policy in POLICIES {
        let balancer = Balancer::with_policy(policy, endpoints(3, now), now);
        let mut rng = Rng::with_seed(7);
        let held: Vec<_> = (0..300)
            .map(|_| balancer.pick(now, &mut rng, false, |_| Standing::Ejected).unwrap())
            .collect();
        for member in balancer.members() {
            assert!((95..=105).contains(&member.0.load.in_flight()), "{policy:?} {member:?}");
        }
        drop(held);
    }
}

#[test]
fn the_neighbour_of_an_ejected_endpoint_gets_no_double_load() {
    let now = Instant::now();
    for policy in POLICIES {
        let balancer = Balancer::with_policy(policy, endpoints(10, now), now);
        teach(&balancer, now, |_| MS);
        let mut rng = Rng::with_seed(7);
        let mut calls = [0; 10];
        for _ in 0..7_000 {
            let standing = |one: &super::Endpoint| {
                if one.0.name < 3 { Standing::Ejected } else { Standing::Fit }
            };
            calls[balancer.pick(now, &mut rng, false, standing).unwrap().member().0.name] += 1;
        }
        assert_eq!(calls[..3], [0; 3]);
        assert!(
            calls[3..].iter().all(|calls| (850..1_150).contains(calls)),
            "{policy:?} {calls:?}"
        );
    }
}
