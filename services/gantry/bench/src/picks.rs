//! Picks for counting under valgrind: `gantry bench picks`.

use std::{hint::black_box, sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Load, Outcome};
use tokio::time::Instant;

use super::args::PicksArgs;

/// Name pattern of the counted function, for valgrind.
pub(super) const COUNTED: &str = "*picks_to_be_counted*";

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

/// Not a closure of the counted function: its name would match the pattern too, and valgrind would
/// stop counting at its start.
fn fit(_: &Endpoint) -> bool {
    true
}

/// Makes picks one after the other, a microsecond apart.
#[inline(never)]
fn picks_to_be_counted(
    balancer: &Balancer<Endpoint>,
    mut now: Instant,
    rng: &mut Rng,
    count: usize,
) {
    for _ in 0..count {
        now += Duration::from_micros(1);
        black_box(balancer.pick(now, rng, true, fit));
    }
}

pub(super) fn run(args: &PicksArgs) {
    let (now, mut rng) = (Instant::now(), Rng::with_seed(1));
    let members = (0..args.endpoints).map(|_| Endpoint(Arc::new(Load::new(now))));
    let balancer = Balancer::new(members, now);
    // Warm up until every endpoint has an estimate: unknown endpoints cost more.
    let unknown = |endpoint: &Endpoint| endpoint.load().estimate(now).is_none();
    while let Some(mut picked) = balancer.pick(now, &mut rng, false, unknown) {
        picked.learn(now + Duration::from_millis(1 + rng.u64(..9)), Outcome::Answered);
    }
    picks_to_be_counted(&balancer, now + Duration::from_millis(10), &mut rng, args.picks);
}
