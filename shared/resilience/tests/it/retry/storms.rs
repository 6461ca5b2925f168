//! A service under load, simulated call by call: balancer, ejection, budget and attempts
//! together.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fastrand::Rng;
use gantry_resilience::{
    balance::{Balancer, Candidate, Load, Outcome, Picked},
    deadline::Deadline,
    ejection::{Config, Detector, Endpoint},
    retry::{Attempts, Budget, Decision, Failure, Policy},
};
use tokio::time::Instant;

#[derive(Clone)]
struct Replica {
    load: Arc<Load>,
    endpoint: Arc<Endpoint<usize>>,
}

impl Candidate for Replica {
    fn load(&self) -> &Load {
        &self.load
    }

    fn weight(&self) -> u32 {
        1
    }
}

/// Behaviour of a replica: its response time, and its failures in a hundred calls.
#[derive(Clone, Copy)]
struct Manner {
    millis: u64,
    failing: u32,
}

const WELL: Manner = Manner { millis: 5, failing: 0 };
const DOWN: Manner = Manner { millis: 5, failing: 100 };

enum Event {
    Send(Attempts),
    Answer { attempts: Attempts, picked: Picked<Replica>, fail_open: bool },
}

#[derive(Default, Debug)]
struct Report {
    calls: u32,
    failed: u32,
    attempts: u32,
    /// Calls and attempts since the budget was spent for the first time.
    spent: Option<(u32, u32)>,
}

struct World {
    now: Instant,
    manners: Vec<Manner>,
    balancer: Balancer<Replica>,
    detector: Detector<usize>,
    budget: Budget,
    rng: Rng,
    /// Events by time, then in the order of their planning.
    events: BTreeMap<(Instant, u64), Event>,
    planned: u64,
    report: Report,
    /// True if a failure of an ejected endpoint costs nothing.
    deviates_from_a6: bool,
}

impl World {
    fn new(manners: &[Manner]) -> Self {
        let now = Instant::now();
        let detector = Detector::new(Config::default(), now);
        let replicas = detector
            .replace(0..manners.len(), now)
            .into_iter()
            .map(|endpoint| Replica { load: Arc::new(Load::new(now)), endpoint });
        Self {
            now,
            manners: manners.to_vec(),
            balancer: Balancer::new(replicas, now),
            detector,
            budget: Budget::default(),
            rng: Rng::with_seed(7),
            events: BTreeMap::new(),
            planned: 0,
            report: Report::default(),
            deviates_from_a6: true,
        }
    }

    fn plan(&mut self, after: Duration, event: Event) {
        self.planned += 1;
        self.events.insert((self.now + after, self.planned), event);
    }

    fn begin_call(&mut self) {
        self.report.calls += 1;
        if let Some((calls, _)) = &mut self.report.spent {
            *calls += 1;
        }
        let deadline = Deadline::after(self.now, Duration::from_secs(5));
        self.plan(Duration::ZERO, Event::Send(Attempts::new(Policy::DEFAULT, true, deadline)));
    }

    fn send(&mut self, attempts: Attempts) {
        self.report.attempts += 1;
        if let Some((_, attempts)) = &mut self.report.spent {
            *attempts += 1;
        }
        let now = self.now;
        let in_its_place = |replica: &Replica| !replica.endpoint.is_ejected(now);
        let (picked, fail_open) = match self.balancer.pick(now, &mut self.rng, true, in_its_place) {
            Some(picked) => (picked, false),
            None => (self.balancer.pick(now, &mut self.rng, true, |_| true).unwrap(), true),
        };
        let took = Duration::from_millis(self.manner(&picked).millis);
        self.plan(took, Event::Answer { attempts, picked, fail_open });
    }

    fn manner(&self, picked: &Picked<Replica>) -> Manner {
        self.manners[*picked.member().endpoint.key()]
    }

    /// Ends an attempt. Returns true if its call is over.
    fn answer(
        &mut self,
        mut attempts: Attempts,
        mut picked: Picked<Replica>,
        fail_open: bool,
    ) -> bool {
        let endpoint = Arc::clone(&picked.member().endpoint);
        if self.rng.u32(..100) >= self.manner(&picked).failing {
            picked.learn(self.now, Outcome::Answered);
            self.detector.succeeded(&endpoint, self.now);
            self.budget.succeeded();
            return true;
        }
        let was_ejected = self.deviates_from_a6 && !fail_open && endpoint.is_ejected(self.now);
        picked.learn(self.now, Outcome::Failed);
        self.detector.failed(&endpoint, self.now);
        if !was_ejected {
            self.budget.failed();
        }
        let failure = Failure::unavailable(None);
        let decision = attempts.failed(self.now, failure, &self.budget, &mut self.rng);
        if !self.budget.allows() {
            self.report.spent.get_or_insert_default();
        }
        match decision {
            Decision::Retry { after } => {
                self.plan(after, Event::Send(attempts));
                false
            }
            Decision::GiveUp(_) => {
                self.report.failed += 1;
                true
            }
        }
    }

    /// Runs callers that each make the next call when the one before is over.
    fn run(mut self, callers: u32, calls: u32) -> (Report, Budget) {
        (0..callers).for_each(|_| self.begin_call());
        while let Some(((now, _), event)) = self.events.pop_first() {
            self.now = now;
            match event {
                Event::Send(attempts) => self.send(attempts),
                Event::Answer { attempts, picked, fail_open } => {
                    if self.answer(attempts, picked, fail_open) && self.report.calls < calls {
                        self.begin_call();
                    }
                }
            }
        }
        (self.report, self.budget)
    }
}

#[test]
fn one_sick_replica_does_not_spend_the_budget() {
    // All call at once, cold: a third of the 400 calls is in flight to the sick replica before its
    // first failure is known, three times the budget.
    let sick = Manner { millis: 20, failing: 100 };
    let world = World::new(&[sick, WELL, WELL]);
    let (report, budget) = world.run(400, 20_000);
    assert_eq!(report.failed, 0, "{report:?}");
    assert_eq!(report.spent, None);
    assert!(budget.tokens() > 90.0, "{budget:?}");

    // The storm does happen if such failures cost tokens as in A6.
    let world = World { deviates_from_a6: false, ..World::new(&[sick, WELL, WELL]) };
    let (report, _) = world.run(400, 20_000);
    assert!(report.spent.is_some() && report.failed > 20, "{report:?}");
}

#[test]
fn a_total_outage_is_no_retry_storm() {
    for callers in [1, 64, 400] {
        let (report, budget) = World::new(&[DOWN; 3]).run(callers, 20_000);
        assert_eq!(report.failed, report.calls);
        assert!(budget.tokens() < 50.0);
        let (calls, attempts) = report.spent.unwrap();
        let ratio = f64::from(attempts) / f64::from(calls);
        assert!(ratio <= 1.2, "{ratio} attempts a call with {callers} callers: {report:?}");
        assert!(report.attempts < report.calls + 3 * callers + 200, "{report:?}");
    }
}

#[test]
fn an_outage_of_most_calls_is_no_retry_storm_either() {
    let (report, _) = World::new(&[Manner { millis: 5, failing: 80 }; 3]).run(64, 20_000);
    let (calls, attempts) = report.spent.unwrap();
    let ratio = f64::from(attempts) / f64::from(calls);
    assert!(ratio <= 1.2, "{ratio}: {report:?}");
}

#[test]
fn retries_are_back_soon_after_an_outage() {
    let budget = Budget::default();
    (0..1000).for_each(|_| _ = budget.failed());
    assert_eq!(budget.tokens(), 0.0);
    let successes = (1..).take_while(|_| {
        budget.succeeded();
        !budget.allows()
    });
    assert_eq!(successes.count(), 500, "the next one leads above half");
}

#[test]
fn few_failures_are_all_retried() {
    // Of 100 calls 5 fail: the budget regains more than it spends, and one call in 8,000 fails
    // three times in a row.
    let (report, _) = World::new(&[Manner { millis: 5, failing: 5 }; 3]).run(64, 20_000);
    assert_eq!(report.spent, None);
    assert!(report.failed < 10, "{report:?}");
}
