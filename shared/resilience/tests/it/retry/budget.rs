//! Tokens of the retry budget.

use std::sync::Arc;

use gantry_resilience::retry::{Budget, InvalidBudget};
use proptest::prelude::*;

#[test]
fn a_budget_that_cannot_be_is_refused() {
    for tokens in [0, 1001, u32::MAX] {
        assert_eq!(Budget::try_new(tokens, 0.1).unwrap_err(), InvalidBudget::Tokens);
    }
    for ratio in [0.0, -0.1, 0.000_9, 1000.1, f64::NAN, f64::INFINITY] {
        assert_eq!(Budget::try_new(10, ratio).unwrap_err(), InvalidBudget::PerSuccess, "{ratio}");
    }
    assert!(Budget::try_new(1, 0.001).is_ok());
    assert!(Budget::try_new(1000, 1000.0).is_ok());
}

#[test]
fn nothing_is_retried_at_half_of_the_tokens() {
    let budget = Budget::default();
    assert_eq!(budget.tokens(), 100.0);
    assert!((1..50).all(|_| budget.failed()), "49 failures leave more than half");
    assert_eq!(budget.tokens(), 51.0);
    assert!(!budget.failed());
    assert!(!budget.allows());
    // The first success raises it above half again.
    budget.succeeded();
    assert!(budget.allows());
    assert_eq!(budget.tokens(), 50.1);
}

#[test]
fn ten_successes_pay_for_one_failure() {
    let budget = Budget::default();
    budget.failed();
    (0..9).for_each(|_| budget.succeeded());
    assert_eq!(budget.tokens(), 99.9);
    (0..9).for_each(|_| budget.succeeded());
    assert_eq!(budget.tokens(), 100.0, "never above the maximum");
}

#[test]
fn decimals_after_the_third_do_not_count() {
    let budget = Budget::try_new(2, 0.546_6).unwrap();
    budget.failed();
    budget.succeeded();
    assert_eq!(budget.tokens(), 1.546);
    let exact = Budget::try_new(2, 0.1).unwrap();
    exact.failed();
    exact.succeeded();
    assert_eq!(exact.tokens(), 1.1);
}

#[test]
fn threads_that_share_it_lose_nothing() {
    let budget = Arc::new(Budget::try_new(1000, 0.001).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..100).for_each(|_| _ = budget.failed()));
            scope.spawn(|| (0..1000).for_each(|_| budget.succeeded()));
        }
    });
    // Successes are cut off while it is full, so the end is a range.
    assert!((600.0..=604.0).contains(&budget.tokens()), "{budget:?}");
}

proptest! {
    /// Every sequence of outcomes stays between 0 and the maximum, and every step is exact.
    #[test]
    fn the_budget_stays_between_empty_and_full(
        max in 1_u32..=1000,
        per_success in 1_u32..=2_000,
        outcomes in proptest::collection::vec(any::<bool>(), 0..3000),
    ) {
        let budget = Budget::try_new(max, f64::from(per_success) / 1000.0).unwrap();
        let mut expected = i64::from(max) * 1000;
        for succeeded in outcomes {
            if succeeded {
                budget.succeeded();
                expected = (expected + i64::from(per_success)).min(i64::from(max) * 1000);
            } else {
                let allowed = budget.failed();
                expected = (expected - 1000).max(0);
                prop_assert_eq!(allowed, expected > i64::from(max) * 500);
            }
            prop_assert_eq!(budget.tokens(), expected as f64 / 1000.0);
            prop_assert_eq!(budget.allows(), expected > i64::from(max) * 500);
        }
    }
}
