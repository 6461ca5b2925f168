//! Hedged calls: further attempts before a failure.

use std::time::Duration;

use gantry_resilience::{
    deadline::Deadline,
    retry::{Budget, Failure, GiveUp, Hedges, HedgingPolicy, InvalidPolicy, Pushback},
};
use proptest::prelude::*;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

fn begin(attempts: u32, now: Instant) -> Hedges {
    let policy = HedgingPolicy::try_new(attempts, 100 * MS).unwrap();
    Hedges::begin(policy, Deadline::after(now, 1000 * MS), now)
}

#[test]
fn a_policy_that_cannot_be_is_refused() {
    for attempts in [0, 1, 6] {
        assert_eq!(HedgingPolicy::try_new(attempts, MS), Err(InvalidPolicy::Attempts));
    }
    assert!(HedgingPolicy::try_new(5, Duration::ZERO).is_ok());
}

#[test]
fn each_delay_without_a_response_sends_another_attempt() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(3, now);
    assert_eq!(hedges.next_at(), Some(now + 100 * MS));
    assert!(!hedges.due(now + 99 * MS, &budget));
    assert!(hedges.due(now + 100 * MS, &budget));
    assert_eq!((hedges.sent(), hedges.next_at()), (2, Some(now + 200 * MS)));
    assert!(hedges.due(now + 205 * MS, &budget));
    assert_eq!((hedges.sent(), hedges.next_at()), (3, None));
    assert!(!hedges.is_over(), "three are awaited");
    assert_eq!(budget.tokens(), 100.0, "only failures cost");
}

#[test]
fn without_a_delay_all_attempts_are_sent_at_once() {
    let now = Instant::now();
    let policy = HedgingPolicy::try_new(3, Duration::ZERO).unwrap();
    let mut hedges = Hedges::begin(policy, Deadline::after(now, MS), now);
    let budget = Budget::default();
    assert!(hedges.due(now, &budget) && hedges.due(now, &budget) && !hedges.due(now, &budget));
    assert_eq!(hedges.sent(), 3);
}

#[test]
fn a_failure_brings_the_next_attempt_forward() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(3, now);
    let failed_at = now + 10 * MS;
    hedges.failed(failed_at, Failure::unavailable(None));
    assert_eq!(hedges.next_at(), Some(failed_at));
    assert!(!hedges.is_over());
    assert!(hedges.due(failed_at, &budget));
    assert_eq!(hedges.next_at(), Some(failed_at + 100 * MS), "then the delay holds again");
}

#[test]
fn the_last_failure_ends_the_call_if_nothing_is_pending() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(2, now);
    hedges.failed(now, Failure::unavailable(None));
    assert!(hedges.due(now, &budget));
    assert!(!hedges.is_over());
    hedges.failed(now, Failure::unavailable(None));
    assert!(hedges.is_over());
}

#[test]
fn a_failure_that_cannot_be_mended_ends_the_call() {
    let now = Instant::now();
    let mut hedges = begin(3, now);
    assert!(hedges.due(now + 100 * MS, &Budget::default()));
    hedges.failed(now + 110 * MS, Failure::Final);
    assert!(hedges.is_over(), "although another one is in flight");
    assert_eq!(hedges.next_at(), None);
}

#[test]
fn a_pushback_stops_further_attempts_but_not_those_in_flight() {
    let now = Instant::now();
    for stop in [Failure::PushedBack, Failure::Exhausted] {
        let budget = Budget::default();
        let mut hedges = begin(3, now);
        assert!(hedges.due(now + 100 * MS, &budget));
        hedges.failed(now + 110 * MS, stop);
        assert_eq!(hedges.next_at(), None);
        assert!(!hedges.due(now + 500 * MS, &budget));
        assert!(!hedges.is_over(), "one may still answer");
        hedges.failed(now + 120 * MS, Failure::unavailable(None));
        assert_eq!(hedges.next_at(), None, "stopped for good");
        assert!(hedges.is_over());
    }
}

#[test]
fn a_pushback_puts_the_next_attempt_off() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(3, now);
    let pushback = Failure::exhausted(Some(Pushback::After(300 * MS)));
    hedges.failed(now + 50 * MS, pushback);
    assert_eq!(hedges.next_at(), Some(now + 350 * MS));
    assert!(hedges.due(now + 350 * MS, &budget));
    assert_eq!(hedges.next_at(), Some(now + 450 * MS));
}

#[test]
fn nothing_is_sent_at_or_after_the_deadline() {
    let now = Instant::now();
    let policy = HedgingPolicy::try_new(3, 100 * MS).unwrap();
    let hedges = |left: Duration| Hedges::begin(policy, Deadline::after(now, left), now);
    assert_eq!(hedges(100 * MS).next_at(), None);
    assert_eq!(hedges(101 * MS).next_at(), Some(now + 100 * MS));
    let budget = Budget::default();
    let mut late = hedges(101 * MS);
    assert!(!late.due(now + 101 * MS, &budget));
    assert_eq!(late.next_at(), None);
    // The delay was too long, but after the failure there is time for another attempt.
    let mut early = hedges(100 * MS);
    early.failed(now + 10 * MS, Failure::unavailable(None));
    assert_eq!(early.next_at(), Some(now + 10 * MS));
}

#[test]
fn a_spent_budget_stops_hedging() {
    let now = Instant::now();
    let budget = Budget::default();
    while budget.failed() {}
    let mut hedges = begin(3, now);
    assert!(!hedges.due(now + 100 * MS, &budget));
    assert_eq!(hedges.next_at(), None);
    assert!(!hedges.is_over(), "the first attempt is awaited");
    hedges.failed(now + 150 * MS, Failure::unavailable(None));
    assert!(hedges.is_over());
}

#[test]
fn the_reason_for_no_further_attempt_is_given() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(2, now);
    assert_eq!(hedges.gave_up(), None);
    assert!(hedges.due(now + 100 * MS, &budget));
    assert_eq!(hedges.gave_up(), Some(GiveUp::AttemptsSpent));
    let gave_up = |failure: Failure| {
        let mut hedges = begin(3, now);
        hedges.failed(now, failure);
        hedges.gave_up()
    };
    let needed = Duration::from_secs(9);
    for (failure, why) in [
        (Failure::Final, GiveUp::Final),
        (Failure::PushedBack, GiveUp::PushedBack),
        (Failure::Retryable { after: Some(needed) }, GiveUp::NoTime { needed }),
    ] {
        assert_eq!(gave_up(failure), Some(why));
    }
    let mut broke = begin(3, now);
    while budget.failed() {}
    assert!(!broke.due(now + 100 * MS, &budget));
    assert_eq!(broke.gave_up(), Some(GiveUp::BudgetSpent));
}

#[test]
fn an_unplaced_attempt_is_the_last_and_not_awaited() {
    let now = Instant::now();
    let budget = Budget::default();
    let mut hedges = begin(3, now);
    assert!(hedges.due(now + 100 * MS, &budget));
    hedges.not_sent();
    assert_eq!((hedges.sent(), hedges.next_at()), (1, None));
    assert!(!hedges.is_over(), "the first is awaited");
    hedges.failed(now + 150 * MS, Failure::unavailable(None));
    assert!(hedges.is_over());
    let mut nowhere = begin(3, now);
    nowhere.not_sent();
    assert!(nowhere.is_over());
}

proptest! {
    /// Every sequence has no more attempts than allowed and none at or after the deadline, and a
    /// call whose attempts all failed ends.
    #[test]
    fn every_hedged_call_ends(
        max in 2_u32..=5,
        delay in 0_u64..300,
        left in 0_u64..1000,
        tokens in 1_u32..8,
        steps in proptest::collection::vec((0_u64..200, 0_u8..6), 0..40),
    ) {
        let budget = Budget::try_new(tokens, 0.1).unwrap();
        let start = Instant::now();
        let deadline = Deadline::after(start, Duration::from_millis(left));
        let policy = HedgingPolicy::try_new(max, Duration::from_millis(delay)).unwrap();
        let mut hedges = Hedges::begin(policy, deadline, start);
        let (mut now, mut in_flight) = (start, 1);
        for (pass, answer) in steps {
            now += Duration::from_millis(pass);
            while hedges.due(now, &budget) {
                prop_assert!(deadline.left(now).is_some());
                in_flight += 1;
            }
            prop_assert!(hedges.sent() <= max);
            if hedges.is_over() || in_flight == 0 {
                break;
            }
            in_flight -= 1;
            let failure = match answer {
                0 => Failure::Final,
                1 => Failure::PushedBack,
                2 => Failure::Retryable { after: Some(Duration::from_millis(50)) },
                3 => Failure::Exhausted,
                _ => Failure::unavailable(None),
            };
            if failure.costs() {
                budget.failed();
            }
            hedges.failed(now, failure);
        }
        // Without further events it ends: each planned moment either sends or stops.
        while let Some(next) = hedges.next_at() {
            if hedges.due(next, &budget) {
                in_flight += 1;
            }
        }
        (0..in_flight).for_each(|_| hedges.failed(now, Failure::unavailable(None)));
        while let Some(next) = hedges.next_at() {
            if hedges.due(next, &budget) {
                hedges.failed(next, Failure::unavailable(None));
            }
        }
        prop_assert!(hedges.is_over());
    }
}
