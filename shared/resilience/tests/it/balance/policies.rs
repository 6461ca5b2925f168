//! Round robin, least request, and weights.

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Outcome, Policy};
use tokio::time::Instant;

use super::{Endpoint, MS, all, endpoint, endpoints, teach};

/// Returns the calls that each weight gets, one call at a time.
fn shares(policy: Policy, weights: &[u32], calls: usize) -> Vec<usize> {
    let now = Instant::now();
    let members = weights.iter().enumerate().map(|(name, weight)| endpoint(name, *weight, now));
    let balancer = Balancer::with_policy(policy, members, now);
    teach(&balancer, now, |_| MS);
    let mut rng = Rng::with_seed(7);
    let mut shares = vec![0; weights.len()];
    for _ in 0..calls {
        shares[balancer.pick(now, &mut rng, true, all).unwrap().member().0.name] += 1;
    }
    shares
}

#[test]
fn round_robin_takes_one_after_the_other_from_anywhere() {
    let now = Instant::now();
    let mut firsts = [0; 3];
    for seed in 0..30 {
        let balancer = Balancer::with_policy(Policy::RoundRobin, endpoints(3, now), now);
        let mut rng = Rng::with_seed(seed);
        let mut next = || balancer.pick(now, &mut rng, true, all).unwrap().member().0.name;
        let first = next();
        firsts[first] += 1;
        for call in 1..10 {
            assert_eq!(next(), (first + call) % 3);
        }
    }
    assert!(firsts.iter().all(|count| *count > 0), "{firsts:?}");
}

#[test]
fn round_robin_gives_each_as_many_turns_as_it_weighs() {
    let shares = shares(Policy::RoundRobin, &[1, 2, 3, 0], 7_000);
    for (share, expected) in shares.iter().zip([1_000, 2_000, 3_000, 1_000]) {
        assert!(share.abs_diff(expected) <= 10, "{shares:?}");
    }
}

#[test]
fn round_robin_finds_a_light_endpoint_among_unusable_ones() {
    let now = Instant::now();
    let members = [endpoint(0, u32::MAX, now), endpoint(1, 1, now)];
    let balancer = Balancer::with_policy(Policy::RoundRobin, members, now);
    let mut rng = Rng::with_seed(7);
    let light = |endpoint: &Endpoint| endpoint.0.name == 1;
    for _ in 0..10 {
        assert!(balancer.pick(now, &mut rng, true, light).is_some());
    }
}

#[test]
fn least_request_prefers_fewer_calls_in_flight_however_slow() {
    let now = Instant::now();
    let balancer = Balancer::with_policy(Policy::LeastRequest, endpoints(2, now), now);
    let mut rng = Rng::with_seed(7);
    let mut busy: Vec<_> =
        (0..5).map(|_| balancer.pick(now, &mut rng, true, |e: &Endpoint| e.0.name == 0)).collect();
    for picked in busy.iter_mut().flatten() {
        picked.learn(now, Outcome::Answered);
    }
    for _ in 0..10 {
        let mut picked = balancer.pick(now, &mut rng, true, all).unwrap();
        assert_eq!(picked.member().0.name, 1);
        picked.learn(now + 1_000 * MS, Outcome::Answered);
    }
}

#[test]
fn a_heavy_endpoint_of_many_gets_its_share_also_while_idle() {
    let weights = [10, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for policy in [Policy::PeakEwma, Policy::LeastRequest, Policy::RoundRobin] {
        let shares = shares(policy, &weights, 19_000);
        assert!((9_500..10_500).contains(&shares[0]), "{policy:?} {shares:?}");
        assert!(shares[1..].iter().all(|calls| (850..1_150).contains(calls)), "{shares:?}");
    }
}

#[test]
fn a_heavy_endpoint_of_many_gets_its_share_in_flight() {
    let now = Instant::now();
    let weights = [10, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    for policy in [Policy::PeakEwma, Policy::LeastRequest] {
        let members = weights.iter().enumerate().map(|(name, &weight)| endpoint(name, weight, now));
        let balancer = Balancer::with_policy(policy, members, now);
        teach(&balancer, now, |_| MS);
        let mut rng = Rng::with_seed(7);
        let held: Vec<_> =
            (0..1_900).map(|_| balancer.pick(now, &mut rng, false, all).unwrap()).collect();
        let heavy = balancer.members()[0].0.load.in_flight();
        assert!((950..=1_050).contains(&heavy), "{policy:?} {heavy}");
        drop(held);
    }
}

#[test]
fn the_weight_of_an_endpoint_does_not_excuse_its_failures() {
    let now = Instant::now();
    let balancer = Balancer::new([endpoint(0, 1_000_000, now), endpoint(1, 1, now)], now);
    teach(&balancer, now, |_| 100 * MS);
    let mut rng = Rng::with_seed(7);
    let mut failed = balancer.pick(now, &mut rng, false, |e: &Endpoint| e.0.name == 0).unwrap();
    failed.learn(now + MS, Outcome::Failed);
    drop(failed);
    for _ in 0..100 {
        assert_eq!(balancer.pick(now, &mut rng, false, all).unwrap().member().0.name, 1);
    }
}
