//! Picks, to be counted: the instructions of a pick must not grow with the set.
//!
//! ```text
//! cargo build --release -p gantry-resilience --example pick_cost
//! valgrind --tool=callgrind --collect-atstart=no --toggle-collect='*picks*' \
//!     target/release/examples/pick_cost peak_ewma 1000 10000
//! ```
//! The arguments: policy, endpoints, picks.

use std::{env, hint::black_box, sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Load, Outcome, Policy};
use tokio::time::Instant;

#[derive(Clone)]
struct Endpoint(Arc<Load>);

impl Candidate for Endpoint {
    fn load(&self) -> &Load {
        &self.0
    }

    fn weight(&self) -> u32 {
        1
    }
}

/// One call after the other, a microsecond apart.
#[inline(never)]
fn picks(balancer: &Balancer<Endpoint>, mut now: Instant, rng: &mut Rng, count: usize) {
    for _ in 0..count {
        now += Duration::from_micros(1);
        black_box(balancer.pick(now, rng, true, |_| true));
    }
}

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let policy = match arguments.first().map(String::as_str) {
        Some("round_robin") => Policy::RoundRobin,
        Some("least_request") => Policy::LeastRequest,
        _ => Policy::PeakEwma,
    };
    let number = |at: usize| arguments.get(at).and_then(|number| number.parse().ok());
    let (endpoints, count) = (number(1).unwrap_or(10), number(2).unwrap_or(10_000));
    let (now, mut rng) = (Instant::now(), Rng::with_seed(1));
    let members = (0..endpoints).map(|_| Endpoint(Arc::new(Load::new(now))));
    let balancer = Balancer::with_policy(policy, members, now);
    // All are known: a set that is not yet has more to do.
    while let Some(mut picked) = balancer
        .pick(now, &mut rng, false, |endpoint: &Endpoint| endpoint.load().estimate(now).is_none())
    {
        picked.learn(now + Duration::from_millis(1 + rng.u64(..9)), Outcome::Answered);
    }
    picks(&balancer, now + Duration::from_millis(10), &mut rng, count);
}
