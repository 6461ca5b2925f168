//! Token buckets by key.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use gantry_resilience::limits::{Buckets, InvalidRate, Rate};
use proptest::prelude::*;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);

fn rate(per_second: f64, burst: u32) -> Rate {
    Rate::try_new(per_second, burst).unwrap()
}

#[test]
fn a_bucket_gives_its_burst_at_once_and_then_its_rate() {
    let (start, rate) = (Instant::now(), rate(10.0, 20));
    let buckets = Buckets::new(100, start);
    for _ in 0..20 {
        assert_eq!(buckets.take(&1, rate, start), Ok(()));
    }
    assert_eq!(buckets.take(&1, rate, start), Err(100 * MS));
    assert_eq!(buckets.take(&1, rate, start + 60 * MS), Err(40 * MS));
    assert_eq!(buckets.take(&1, rate, start + 100 * MS), Ok(()));
    assert_eq!(buckets.take(&1, rate, start + 100 * MS), Err(100 * MS));
    // Another key is another bucket.
    assert_eq!(buckets.take(&2, rate, start), Ok(()));
}

#[test]
fn a_refusal_costs_nothing() {
    let (start, rate) = (Instant::now(), rate(1.0, 1));
    let buckets = Buckets::new(100, start);
    buckets.take(&1, rate, start).unwrap();
    for _ in 0..1000 {
        buckets.take(&1, rate, start).unwrap_err();
    }
    assert_eq!(buckets.take(&1, rate, start + 1000 * MS), Ok(()));
}

#[test]
fn an_unused_or_refilled_bucket_is_full() {
    let (start, rate) = (Instant::now(), rate(10.0, 20));
    let buckets = Buckets::new(100, start);
    assert!(buckets.is_full(&1, start));
    buckets.take(&1, rate, start).unwrap();
    buckets.take(&1, rate, start).unwrap();
    assert!(!buckets.is_full(&1, start + 199 * MS));
    assert!(buckets.is_full(&1, start + 200 * MS));
    assert!(buckets.is_full(&2, start));
}

#[test]
fn a_flood_of_keys_does_not_displace_a_frequent_caller() {
    let (start, rate) = (Instant::now(), rate(10.0, 20));
    let buckets = Buckets::new(1000, start);
    let mut granted = 0;
    for stranger in 1..=100_000_u32 {
        buckets.take(&stranger, rate, start).unwrap();
        if stranger % 10 == 0 {
            granted += u32::from(buckets.take(&0, rate, start).is_ok());
        }
        assert!(buckets.len() <= 1100, "{} after {stranger}", buckets.len());
    }
    assert_eq!(granted, 20);
}

#[test]
fn threads_do_not_get_more_together_than_one_alone() {
    let (start, rate) = (Instant::now(), rate(10.0, 500));
    let (buckets, granted) = (Buckets::new(100, start), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    if buckets.take(&1, rate, start).is_ok() {
                        granted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(granted.into_inner(), 500);
}

#[test]
fn numbers_that_are_no_rate_are_refused() {
    for (per_second, burst, expected) in [
        (0.0, 1, InvalidRate::PerSecond),
        (-1.0, 1, InvalidRate::PerSecond),
        (f64::NAN, 1, InvalidRate::PerSecond),
        (f64::INFINITY, 1, InvalidRate::PerSecond),
        (1.0, 0, InvalidRate::Burst),
        (1e-9, 1, InvalidRate::TooSlow),
        (f64::MIN_POSITIVE, u32::MAX, InvalidRate::TooSlow),
    ] {
        assert_eq!(Rate::try_new(per_second, burst), Err(expected), "{per_second} {burst}");
    }
    assert!(Rate::try_new(1e9, u32::MAX).is_ok());
    assert!(Rate::try_new(1.0 / 86_400.0, 5).is_ok(), "five a day");
}

proptest! {
    /// Definition of a token bucket: no interval admits more calls than the burst plus the refill
    /// of that interval.
    #[test]
    fn no_time_gives_more_than_the_burst_and_what_it_fills(
        per_second in 1_u32..1000,
        burst in 1_u32..50,
        steps in prop::collection::vec(0_u32..50, 1..300),
    ) {
        let (start, rate) = (Instant::now(), rate(per_second.into(), burst));
        let buckets = Buckets::new(10, start);
        let mut now = start;
        let mut granted = Vec::new();
        for step in steps {
            now += step * MS;
            match buckets.take(&1, rate, now) {
                Ok(()) => granted.push(now),
                Err(wait) => {
                    prop_assert!(!wait.is_zero());
                    prop_assert!(wait <= Duration::from_secs(1) / per_second);
                }
            }
        }
        for (first, from) in granted.iter().enumerate() {
            for (last, until) in granted.iter().enumerate().skip(first) {
                let filled = (*until - *from).as_secs_f64() * f64::from(per_second);
                prop_assert!((last - first + 1) as f64 <= f64::from(burst) + filled + 1e-6);
            }
        }
    }
}
