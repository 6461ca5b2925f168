//! Choices of the balancer, with a clock of the test's own.

mod peak_ewma;
mod policies;
mod properties;
mod simulations;
mod standing;
mod subset;

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Load, Outcome};
use tokio::time::Instant;

#[derive(Clone, Debug)]
pub(crate) struct Endpoint(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) name: usize,
    pub(crate) weight: u32,
    pub(crate) load: Load,
}

impl Candidate for Endpoint {
    fn load(&self) -> &Load {
        &self.0.load
    }

    fn weight(&self) -> u32 {
        self.0.weight
    }
}

pub(crate) fn endpoint(name: usize, weight: u32, now: Instant) -> Endpoint {
    Endpoint(Arc::new(Inner { name, weight, load: Load::new(now) }))
}

pub(crate) fn endpoints(count: usize, now: Instant) -> Vec<Endpoint> {
    (0..count).map(|name| endpoint(name, 1, now)).collect()
}

pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn all(_: &Endpoint) -> bool {
    true
}

/// Gives each endpoint this estimated time to headers.
pub(crate) fn teach(balancer: &Balancer<Endpoint>, now: Instant, took: impl Fn(usize) -> Duration) {
    for _ in balancer.members() {
        let mut picked = balancer.pick(now, &mut Rng::with_seed(1), true, all).unwrap();
        let name = picked.member().0.name;
        picked.learn(now + took(name), Outcome::Answered);
    }
}
