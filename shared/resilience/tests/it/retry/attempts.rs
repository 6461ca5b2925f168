//! Decisions after a failed attempt.

use std::time::Duration;

use fastrand::Rng;
use gantry_resilience::{
    deadline::Deadline,
    retry::{Attempts, Budget, Decision, Failure, GiveUp, InvalidPolicy, Policy, Pushback},
};
use proptest::prelude::*;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn attempts(policy: Policy, repeatable: bool, now: Instant, left: Duration) -> Attempts {
    Attempts::new(policy, repeatable, Deadline::after(now, left))
}

fn wait(decision: Decision) -> Duration {
    match decision {
        Decision::Retry { after } => after,
        Decision::GiveUp(why) => panic!("gave up: {why}"),
    }
}

fn around(base: Duration, wait: Duration) -> bool {
    wait >= base.mul_f64(0.8) && wait <= base.mul_f64(1.2)
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    let rows = [
        (0, 50 * MS, MINUTE, 2.0, InvalidPolicy::Attempts),
        (6, 50 * MS, MINUTE, 2.0, InvalidPolicy::Attempts),
        (3, Duration::ZERO, MINUTE, 2.0, InvalidPolicy::InitialBackoff),
        (3, 50 * MS, 49 * MS, 2.0, InvalidPolicy::MaxBackoff),
        (3, 50 * MS, MINUTE, 0.9, InvalidPolicy::Multiplier),
        (3, 50 * MS, MINUTE, f64::NAN, InvalidPolicy::Multiplier),
        (3, 50 * MS, MINUTE, f64::INFINITY, InvalidPolicy::Multiplier),
    ];
    for (attempts, initial, max, multiplier, why) in rows {
        assert_eq!(Policy::try_new(attempts, initial, max, multiplier), Err(why));
    }
    assert_eq!(Policy::try_new(3, 50 * MS, 2000 * MS, 2.0), Ok(Policy::DEFAULT));
    assert_eq!(Policy::default().max_attempts(), 3);
}

#[test]
fn waits_grow_to_their_maximum_and_are_spread_by_a_fifth() {
    let now = Instant::now();
    let policy = Policy::try_new(5, 50 * MS, 120 * MS, 2.0).unwrap();
    let (mut shortest, mut longest) = ([MINUTE; 4], [Duration::ZERO; 4]);
    for seed in 0..1000 {
        let (budget, mut rng) = (Budget::default(), Rng::with_seed(seed));
        let mut attempts = attempts(policy, true, now, MINUTE);
        for n in 0..4 {
            let wait = wait(attempts.failed(now, Failure::unavailable(None), &budget, &mut rng));
            (shortest[n], longest[n]) = (shortest[n].min(wait), longest[n].max(wait));
        }
    }
    for (n, base) in [50, 100, 120, 120].into_iter().enumerate() {
        assert!(around(base * MS, shortest[n]) && around(base * MS, longest[n]));
        assert!(longest[n] - shortest[n] > (base * MS).mul_f64(0.35), "the whole range is used");
    }
}

#[test]
fn the_longest_waits_do_not_overflow() {
    let now = Instant::now();
    let policy = Policy::try_new(5, Duration::MAX, Duration::MAX, f64::MAX).unwrap();
    let mut attempts = attempts(policy, true, now, Duration::MAX);
    for _ in 0..4 {
        let decision =
            attempts.failed(now, Failure::unavailable(None), &Budget::default(), &mut Rng::new());
        assert!(matches!(decision, Decision::GiveUp(GiveUp::NoTime { .. })), "{decision:?}");
    }
}

#[test]
fn only_failures_that_may_pass_are_retried() {
    let now = Instant::now();
    let (after, stop) = (Some(Pushback::After(7 * MS)), Some(Pushback::Stop));
    // Failures cost tokens as in A6.
    let rows = [
        (Failure::unavailable(None), true, None),
        (Failure::unavailable(after), true, None),
        (Failure::unavailable(stop), true, Some(GiveUp::PushedBack)),
        (Failure::exhausted(None), false, Some(GiveUp::Final)),
        (Failure::exhausted(after), true, None),
        (Failure::exhausted(stop), true, Some(GiveUp::PushedBack)),
        (Failure::other(None), false, Some(GiveUp::Final)),
        (Failure::other(after), false, Some(GiveUp::Final)),
        (Failure::other(stop), true, Some(GiveUp::PushedBack)),
    ];
    for (failure, costs, expected) in rows {
        assert_eq!(failure.costs(), costs, "{failure:?}");
        let mut attempts = attempts(Policy::DEFAULT, true, now, MINUTE);
        let decision = attempts.failed(now, failure, &Budget::default(), &mut Rng::new());
        match expected {
            Some(why) => assert_eq!(decision, Decision::GiveUp(why), "{failure:?}"),
            None => assert!(matches!(decision, Decision::Retry { .. }), "{failure:?}"),
        }
    }
}

#[test]
fn a_non_idempotent_call_is_not_retried_after_side_effects() {
    let now = Instant::now();
    for after in [None, Some(MS)] {
        let mut attempts = attempts(Policy::DEFAULT, false, now, MINUTE);
        let failure = Failure::Retryable { after };
        let decision = attempts.failed(now, failure, &Budget::default(), &mut Rng::new());
        assert_eq!(decision, Decision::GiveUp(GiveUp::NotRepeatable));
    }
}

#[test]
fn a_refused_call_is_sent_again_once_and_uncounted() {
    let now = Instant::now();
    for repeatable in [true, false] {
        let mut attempts = attempts(Policy::DEFAULT, repeatable, now, MINUTE);
        assert!(attempts.refused());
        assert!(!attempts.refused());
        assert_eq!(attempts.previous(), 0);
    }
}

#[test]
fn there_are_no_more_attempts_than_the_policy_says() {
    let now = Instant::now();
    for max in 1..=5 {
        let policy = Policy::try_new(max, MS, MS, 1.0).unwrap();
        let budget = Budget::default();
        let mut attempts = attempts(policy, true, now, MINUTE);
        for _ in 1..max {
            wait(attempts.failed(now, Failure::unavailable(None), &budget, &mut Rng::new()));
        }
        let last = attempts.failed(now, Failure::unavailable(None), &budget, &mut Rng::new());
        assert_eq!(last, Decision::GiveUp(GiveUp::AttemptsSpent));
    }
}

#[test]
fn each_retry_says_how_many_attempts_preceded_it() {
    let now = Instant::now();
    let mut attempts = attempts(Policy::DEFAULT, true, now, MINUTE);
    assert_eq!(attempts.previous(), 0);
    for n in 1..=2 {
        wait(attempts.failed(now, Failure::unavailable(None), &Budget::default(), &mut Rng::new()));
        assert_eq!(attempts.previous(), n);
    }
}

#[test]
fn after_a_pushback_the_backoff_restarts() {
    let now = Instant::now();
    let (budget, mut rng) = (Budget::default(), Rng::with_seed(7));
    let policy = Policy::try_new(5, 50 * MS, MINUTE, 10.0).unwrap();
    let mut attempts = attempts(policy, true, now, MINUTE);
    let mut next =
        |after| wait(attempts.failed(now, Failure::Retryable { after }, &budget, &mut rng));
    assert!(around(50 * MS, next(None)));
    assert!(around(500 * MS, next(None)));
    assert_eq!(next(Some(1234 * MS)), 1234 * MS);
    assert!(around(50 * MS, next(None)));
}

#[test]
fn a_wait_that_would_pass_the_deadline_is_not_begun() {
    let now = Instant::now();
    let budget = Budget::default();
    let decide = |left: Duration, pushback: Duration| {
        let failure = Failure::Retryable { after: Some(pushback) };
        let mut attempts = attempts(Policy::DEFAULT, true, now, left);
        attempts.failed(now, failure, &budget, &mut Rng::new())
    };
    assert_eq!(decide(100 * MS, 99 * MS), Decision::Retry { after: 99 * MS });
    for pushback in [100 * MS, 101 * MS] {
        let why = GiveUp::NoTime { needed: pushback };
        assert_eq!(decide(100 * MS, pushback), Decision::GiveUp(why));
    }
    let why = GiveUp::NoTime { needed: Duration::ZERO };
    assert_eq!(decide(Duration::ZERO, Duration::ZERO), Decision::GiveUp(why));
}

#[test]
fn nothing_is_retried_without_a_budget() {
    let now = Instant::now();
    let budget = Budget::default();
    while budget.failed() {}
    let mut attempts = attempts(Policy::DEFAULT, true, now, MINUTE);
    let decision = attempts.failed(now, Failure::unavailable(None), &budget, &mut Rng::new());
    assert_eq!(decision, Decision::GiveUp(GiveUp::BudgetSpent));
}

proptest! {
    /// No sequence has more attempts than the policy allows, repeats a call that must not be
    /// repeated, exceeds the deadline, or retries without a budget.
    #[test]
    fn no_sequence_of_failures_leads_beyond_the_policy(
        max in 1_u32..=5,
        initial in 1_u64..3_000,
        growth in 1_u64..100,
        multiplier in 1.0_f64..100.0,
        left in 0_u64..10_000,
        repeatable in any::<bool>(),
        tokens in 1_u32..20,
        seed in any::<u64>(),
        failures in proptest::collection::vec(failure(), 1..12),
    ) {
        let initial = Duration::from_millis(initial);
        let policy = Policy::try_new(max, initial, initial * growth as u32, multiplier).unwrap();
        let (budget, mut rng) = (Budget::try_new(tokens, 0.1).unwrap(), Rng::with_seed(seed));
        let start = Instant::now();
        let deadline = Deadline::after(start, Duration::from_millis(left));
        let mut attempts = Attempts::new(policy, repeatable, deadline);
        let (mut now, mut made) = (start, 1);
        for (failure, took) in failures {
            now += Duration::from_millis(took);
            if failure.costs() {
                budget.failed();
            }
            match attempts.failed(now, failure, &budget, &mut rng) {
                Decision::Retry { after } => {
                    now += after;
                    made += 1;
                    prop_assert!(repeatable && budget.allows());
                    prop_assert!(deadline.left(now).is_some());
                    match failure {
                        Failure::Retryable { after: Some(asked) } => prop_assert_eq!(asked, after),
                        _ => prop_assert!(after <= (initial * growth as u32).mul_f64(1.2)),
                    }
                }
                Decision::GiveUp(why) => {
                    prop_assert!(!why.to_string().is_empty());
                    break;
                }
            }
        }
        prop_assert!(made <= max);
    }
}

fn failure() -> impl Strategy<Value = (Failure, u64)> {
    let after = proptest::option::of((0_u64..500).prop_map(Duration::from_millis));
    let failure = prop_oneof![
        6 => after.prop_map(|after| Failure::Retryable { after }),
        1 => Just(Failure::Exhausted),
        1 => Just(Failure::PushedBack),
        1 => Just(Failure::Final),
    ];
    (failure, 0_u64..1_000)
}

#[test]
fn an_unknown_method_is_tried_on_four_others_for_nothing() {
    let now = Instant::now();
    let mut attempts = Attempts::new(Policy::NEVER, false, Deadline::after(now, MINUTE));
    assert_eq!((0..10).filter(|_| attempts.elsewhere()).count(), 4);
    assert_eq!(attempts.previous(), 0, "nothing was executed");
}
