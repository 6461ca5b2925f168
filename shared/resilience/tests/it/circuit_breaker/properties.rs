//! What holds after every sequence of calls, ends, cancellations and clock jumps.

use gantry_resilience::circuit_breaker::Counts;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Milliseconds; back a little, as between threads, or far ahead.
    Clock(i64),
    Admit,
    End(usize, Outcome),
    Cancel(usize),
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => Just(Outcome::Success),
        3 => Just(Outcome::Failed),
        1 => Just(Outcome::Slow),
        1 => Just(Outcome::Neutral),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (-300..1500_i64).prop_map(Step::Clock),
        1 => (0..90_000_i64).prop_map(Step::Clock),
        8 => Just(Step::Admit),
        8 => (any::<prop::sample::Index>(), outcomes())
            .prop_map(|(index, outcome)| Step::End(index.index(64), outcome)),
        1 => any::<prop::sample::Index>().prop_map(|index| Step::Cancel(index.index(64))),
    ];
    prop::collection::vec(step, 0..400)
}

fn parameters(jitter: f64) -> impl Strategy<Value = Parameters> {
    let window = prop_oneof![
        (1..12_u32).prop_map(WindowKind::Calls),
        (1..5_u32, 1..1500_u64).prop_map(|(buckets, millis)| WindowKind::Time {
            buckets,
            bucket: Duration::from_millis(millis)
        }),
    ];
    (window, 1..6_u32, 1..8_u32, 0.1..1.0_f64, 0.1..1.0_f64, 1..6_u32).prop_map(
        move |(window, consecutive_failures, minimum, failure_rate, slow_rate, probes)| {
            let minimum_calls = match window {
                WindowKind::Calls(calls) => minimum.min(calls),
                WindowKind::Time { .. } => minimum,
            };
            Parameters {
                window,
                consecutive_failures,
                minimum_calls,
                failure_rate,
                slow_rate,
                slow_after: SECOND,
                jitter,
                probes,
                ..Parameters::default()
            }
        },
    )
}

/// The rules once more, as slow and as plain as can be: it remembers every call.
struct Model {
    parameters: Parameters,
    state: State,
    generation: u64,
    openings: u32,
    until: Instant,
    granted: Instant,
    out: u32,
    /// Since the state began: when (by the window's clock), failed, slow.
    ended: Vec<(u128, bool, bool)>,
    began: Option<Instant>,
    run: u32,
}

impl Model {
    fn new(parameters: Parameters, now: Instant) -> Self {
        Self {
            parameters,
            state: State::Closed,
            generation: 0,
            openings: 0,
            until: now,
            granted: now,
            out: 0,
            ended: Vec::new(),
            began: None,
            run: 0,
        }
    }

    fn enter(&mut self, state: State) {
        *self = Self {
            state,
            generation: self.generation + 1,
            openings: if state == State::Closed { 0 } else { self.openings },
            ..Self::new(self.parameters, self.until)
        };
    }

    fn admit(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => return true,
            State::Open if now < self.until => return false,
            State::Open => self.enter(State::HalfOpen),
            State::HalfOpen if self.out + self.good() < self.parameters.probes => {
                self.out += 1;
                self.granted = self.granted.max(now);
                return true;
            }
            State::HalfOpen if now >= self.granted + self.parameters.probe_patience => {
                self.enter(State::HalfOpen);
            }
            State::HalfOpen => return false,
        }
        (self.out, self.granted) = (1, now);
        true
    }

    fn end(&mut self, generation: u64, took: Duration, outcome: Outcome, now: Instant) {
        if generation != self.generation || self.state == State::Open {
            return;
        }
        self.out = self.out.saturating_sub(1);
        let failed = outcome == Outcome::Failed;
        let slow = outcome == Outcome::Slow || took >= SECOND;
        if outcome != Outcome::Neutral {
            let period = self.period(now);
            self.began.get_or_insert(now);
            self.ended.push((period, failed, slow));
            self.run = if failed { self.run + 1 } else { 0 };
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Instant) {
        let p = self.parameters;
        let counts = self.counts(now);
        let rate = |some: u32| f64::from(some) / f64::from(counts.calls.max(1));
        let opens = if self.state == State::HalfOpen {
            let slow = self.ended.iter().filter(|(_, _, slow)| *slow).count() as f64;
            if self.run == 0 && self.good() == p.probes && slow / f64::from(p.probes) < p.slow_rate
            {
                return self.enter(State::Closed);
            }
            self.run > 0 || self.good() == p.probes
        } else {
            self.run >= p.consecutive_failures
                || counts.calls >= p.minimum_calls
                    && (rate(counts.failed) >= p.failure_rate || rate(counts.slow) >= p.slow_rate)
        };
        if opens {
            self.enter(State::Open);
            self.openings += 1;
            let doubled = p.open * 2_u32.pow(self.openings.min(10) - 1);
            self.until = now + doubled.min(p.open_max);
        }
    }

    fn good(&self) -> u32 {
        if self.state == State::HalfOpen { self.ended.len() as u32 } else { 0 }
    }

    /// The period of a window by time; it never goes back.
    fn period(&self, now: Instant) -> u128 {
        let WindowKind::Time { bucket, .. } = self.parameters.window else { return 0 };
        let since = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let newest = self.ended.iter().map(|(period, ..)| *period).max().unwrap_or(0);
        newest.max(since.as_nanos() / bucket.as_nanos())
    }

    fn counts(&self, now: Instant) -> Counts {
        if self.state == State::HalfOpen {
            return Counts::default();
        }
        let kept: Vec<_> = match self.parameters.window {
            WindowKind::Calls(calls) => self.ended.iter().rev().take(calls as usize).collect(),
            WindowKind::Time { buckets, .. } => {
                let current = self.period(now);
                let fresh = |period: u128| period + u128::from(buckets) > current;
                self.ended.iter().filter(|(period, ..)| fresh(*period)).collect()
            }
        };
        Counts {
            calls: kept.len() as u32,
            failed: kept.iter().filter(|(_, failed, _)| *failed).count() as u32,
            slow: kept.iter().filter(|(_, _, slow)| *slow).count() as u32,
        }
    }
}

fn step_clock(now: Instant, millis: i64) -> Instant {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { now - by } else { now + by }
}

proptest! {
    #[test]
    fn it_does_what_the_rules_say(parameters in parameters(0.0), steps in steps()) {
        // Far enough from the start of the clock that it can step back.
        let mut tester = Tester::new(parameters);
        tester.sleep(1000 * SECOND);
        let mut model = Model::new(parameters, tester.now);
        let mut held: Vec<(Permit, u64, Instant)> = Vec::new();
        for step in steps {
            match step {
                Step::Clock(millis) => tester.now = step_clock(tester.now, millis),
                Step::Admit => {
                    let admitted = tester.admit();
                    prop_assert_eq!(admitted.is_ok(), model.admit(tester.now));
                    if let Ok(permit) = admitted {
                        prop_assert_eq!(permit.is_probe(), model.state == State::HalfOpen);
                        held.push((permit, model.generation, tester.now));
                    }
                }
                Step::End(..) | Step::Cancel(_) if held.is_empty() => {}
                Step::End(index, outcome) => {
                    let (permit, generation, since) = held.swap_remove(index % held.len());
                    permit.record(outcome, tester.now);
                    let took = tester.now.saturating_duration_since(since);
                    model.end(generation, took, outcome, tester.now);
                }
                Step::Cancel(index) => {
                    let (permit, generation, _) = held.swap_remove(index % held.len());
                    drop(permit);
                    model.end(generation, Duration::ZERO, Outcome::Neutral, tester.now);
                }
            }
            let snapshot = tester.snapshot();
            prop_assert_eq!(snapshot.state, model.state);
            prop_assert_eq!(snapshot.generation, model.generation);
            prop_assert_eq!(snapshot.counts, model.counts(tester.now));
            prop_assert_eq!(snapshot.openings, model.openings);
            let closed = model.state == State::Closed;
            prop_assert_eq!(snapshot.consecutive_failures, if closed { model.run } else { 0 });
            let half_open = model.state == State::HalfOpen;
            prop_assert_eq!(snapshot.probes_out, if half_open { model.out } else { 0 });
            prop_assert_eq!(snapshot.probes_good, model.good());
            let open = (model.state == State::Open)
                .then(|| model.until.saturating_duration_since(tester.now));
            prop_assert_eq!(snapshot.half_open_in, open);
        }
    }

    #[test]
    fn it_never_breaks_its_promises_and_closes_when_all_succeed(
        parameters in parameters(0.2),
        steps in steps(),
    ) {
        let mut tester = Tester::new(parameters);
        tester.sleep(1000 * SECOND);
        let mut held: Vec<(Permit, u64)> = Vec::new();
        let mut generation = 0;
        for step in steps {
            let before = tester.snapshot();
            match step {
                Step::Clock(millis) => tester.now = step_clock(tester.now, millis),
                Step::Admit => match tester.admit() {
                    Ok(permit) => {
                        let closed = tester.state() == State::Closed;
                        prop_assert_eq!(permit.is_probe(), !closed);
                        prop_assert!(before.half_open_in.is_none_or(|left| left.is_zero()));
                        held.push((permit, tester.snapshot().generation));
                    }
                    Err(rejected) => {
                        prop_assert_ne!(rejected.state, State::Closed);
                        prop_assert!(!rejected.retry_after.is_zero());
                        prop_assert!(rejected.retry_after <= 73 * SECOND);
                    }
                },
                Step::End(..) | Step::Cancel(_) if held.is_empty() => {}
                Step::End(index, outcome) => {
                    let (permit, _) = held.swap_remove(index % held.len());
                    permit.record(outcome, tester.now);
                }
                Step::Cancel(index) => drop(held.swap_remove(index % held.len())),
            }
            let snapshot = tester.snapshot();
            prop_assert!(snapshot.generation >= generation);
            generation = snapshot.generation;
            prop_assert!(snapshot.probes_out + snapshot.probes_good <= parameters.probes);
            if snapshot.state == State::HalfOpen {
                let out = held.iter().filter(|(_, of)| *of == generation).count();
                prop_assert_eq!(snapshot.probes_out as usize, out);
            }
        }
        // The dependency is well from here on: one wait and the probes, and once more
        // where slow ones were among those that succeeded already.
        drop(held);
        for _ in 0..2 {
            tester.sleep(73 * SECOND);
            if tester.state() != State::Closed {
                tester.calls(parameters.probes - tester.snapshot().probes_good, Outcome::Success);
            }
        }
        prop_assert_eq!(tester.state(), State::Closed);
        prop_assert!(!tester.admit().unwrap().is_probe());
    }
}
