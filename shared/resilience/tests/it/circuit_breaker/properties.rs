//! Invariants after every sequence of calls, outcomes, cancellations and clock jumps.

use proptest::prelude::*;

use super::{model::Model, *};

#[derive(Clone, Debug)]
enum Step {
    /// Milliseconds: slightly back, as between threads, or far ahead.
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
        // The dependency is healthy from here on: one wait and the probes suffice, or twice that if
        // slow probes succeeded before.
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
