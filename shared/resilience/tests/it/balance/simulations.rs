//! Calls over simulated time to a set with one unhealthy endpoint.

use std::{collections::BTreeMap, time::Duration};

use fastrand::Rng;
use gantry_resilience::balance::{Balancer, Candidate, Outcome, Picked, Standing};
use tokio::time::Instant;

use super::{Endpoint, MS, endpoint, endpoints};

/// Calls at fixed times, regardless of the duration of earlier ones.
struct Simulation {
    balancer: Balancer<Endpoint>,
    now: Instant,
    rng: Rng,
    number: u64,
    under_way: BTreeMap<(Instant, u64), (Picked<Endpoint>, Outcome)>,
}

/// Behaviour of an endpoint: its response time and its outcome.
type Behaviour = (Duration, Outcome);

const WELL: Behaviour = (MS, Outcome::Answered);

impl Simulation {
    fn new(endpoints: Vec<Endpoint>, now: Instant) -> Self {
        let (rng, under_way) = (Rng::with_seed(7), BTreeMap::new());
        Self { balancer: Balancer::new(endpoints, now), now, rng, number: 0, under_way }
    }

    /// Starts a call now. Returns its endpoint.
    fn call(
        &mut self,
        repeatable: bool,
        behaviour: impl Fn(usize) -> Behaviour,
        standing: impl Fn(usize) -> Standing,
    ) -> usize {
        let standing = |endpoint: &Endpoint| standing(endpoint.0.name);
        let picked = self.balancer.pick(self.now, &mut self.rng, repeatable, standing).unwrap();
        let name = picked.member().0.name;
        let (took, outcome) = behaviour(name);
        self.number += 1;
        self.under_way.insert((self.now + took, self.number), (picked, outcome));
        name
    }

    /// Advances the time, and ends calls.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(ended) = self.under_way.first_entry()
            && ended.key().0 <= until
        {
            let ((at, _), (mut picked, outcome)) = ended.remove_entry();
            picked.learn(at, outcome);
        }
        self.now = until;
    }

    /// Returns the calls of each of three endpoints in 30 s, at one every half millisecond after an
    /// initial burst.
    fn shares(repeatable: bool, behaviour: impl Fn(usize) -> Behaviour) -> [usize; 3] {
        let now = Instant::now();
        let mut simulation = Self::new(endpoints(3, now), now);
        let mut calls = [0; 3];
        for number in 0..60_000 {
            calls[simulation.call(repeatable, &behaviour, |_| Standing::Fit)] += 1;
            simulation.pass(if number < 64 { Duration::ZERO } else { MS / 2 });
        }
        calls
    }
}

#[test]
fn a_slow_replica_gets_less_than_one_call_in_a_hundred() {
    let behaviour = |name| if name == 0 { (100 * MS, Outcome::Answered) } else { WELL };
    for repeatable in [true, false] {
        let [slow, fast, other] = Simulation::shares(repeatable, behaviour);
        assert!(slow < 600, "{slow} of 60,000");
        assert!(fast.abs_diff(other) < 3_000, "{fast} and {other}");
    }
}

#[test]
fn a_replica_that_fails_fast_gets_under_one_call_in_100() {
    for outcome in [Outcome::Failed, Outcome::FailedFor(Duration::ZERO)] {
        let behaviour =
            |name| if name == 0 { (MS / 10, outcome) } else { (20 * MS, Outcome::Answered) };
        for repeatable in [true, false] {
            let [failing, ..] = Simulation::shares(repeatable, behaviour);
            assert!(failing < 600, "{failing} of 60,000");
        }
    }
}

#[test]
fn a_replica_that_refuses_at_once_attracts_no_calls() {
    let now = Instant::now();
    for warm in [false, true] {
        let mut simulation = Simulation::new(endpoints(4, now), now);
        let (well, refusing) = ((5 * MS, Outcome::Answered), (MS / 10, Outcome::Refused));
        for _ in 0..if warm { 1_000 } else { 0 } {
            simulation.call(true, |_| well, |_| Standing::Fit);
            simulation.pass(10 * MS);
        }
        let mut refused = 0;
        for _ in 0..1_000 {
            let behaviour = |name| if name == 0 { refusing } else { well };
            refused += usize::from(simulation.call(true, behaviour, |_| Standing::Fit) == 0);
            simulation.pass(10 * MS);
        }
        // It gets its fair share, though it is fifty times as fast.
        assert!(refused < 330, "{refused} of 1,000, warm: {warm}");
    }
}

#[test]
fn a_replica_that_never_answers_gets_under_one_call_in_100() {
    let behaviour = |name| if name == 0 { (1_000 * MS, Outcome::Abandoned) } else { WELL };
    for repeatable in [true, false] {
        let [silent, ..] = Simulation::shares(repeatable, behaviour);
        assert!(silent < 600, "{silent} of 60,000");
    }
}

#[test]
fn a_joiner_gets_the_very_next_call_of_a_thousand_members() {
    let now = Instant::now();
    let mut simulation = Simulation::new(endpoints(1_000, now), now);
    for _ in 0..5_000 {
        simulation.call(true, |_| WELL, |_| Standing::Fit);
        simulation.pass(MS / 10);
    }
    let mut members = simulation.balancer.members().to_vec();
    members.push(endpoint(1_000, 1, simulation.now));
    simulation.balancer = Balancer::new(members, simulation.now);
    assert_eq!(simulation.call(false, |_| WELL, |_| Standing::Fit), 1_000);
}

#[test]
fn an_ejected_replica_regains_its_share_within_a_second() {
    let now = Instant::now();
    for repeatable in [true, false] {
        let mut simulation = Simulation::new(endpoints(3, now), now);
        let failing = |name| if name == 0 { (MS / 10, Outcome::Failed) } else { WELL };
        for _ in 0..1_000 {
            simulation.call(repeatable, failing, |_| Standing::Fit);
            simulation.pass(MS);
        }
        let ejected = |name| if name == 0 { Standing::Ejected } else { Standing::Fit };
        for _ in 0..30_000 {
            assert_ne!(simulation.call(repeatable, |_| WELL, ejected), 0);
            simulation.pass(MS);
        }
        let mut calls = [0; 3];
        for _ in 0..1_000 {
            calls[simulation.call(repeatable, |_| WELL, |_| Standing::Fit)] += 1;
            let load = simulation.balancer.members()[0].load();
            let known = load.estimate(simulation.now).is_some();
            assert!(known || load.in_flight() <= 1, "one call until it has answered");
            simulation.pass(MS);
        }
        assert!((250..420).contains(&calls[0]), "{calls:?}");
    }
}
