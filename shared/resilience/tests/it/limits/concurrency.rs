//! Rules of the adaptive limit, one at a time.

use std::time::Duration;

use gantry_resilience::limits::{
    ConcurrencyConfig, ConcurrencyParameters, InvalidConcurrency, Limiter, Permit, Snapshot,
};
use proptest::prelude::*;
use tokio::time::{Instant, advance};

fn limiter(min: u32, initial: u32, max: u32) -> Limiter {
    let parameters =
        ConcurrencyParameters { min, initial, max, ..ConcurrencyParameters::default() };
    Limiter::new(ConcurrencyConfig::try_new(parameters).unwrap(), 2, Instant::now())
}

fn limit(limiter: &Limiter) -> u32 {
    limiter.snapshot().limit
}

/// Makes concurrent calls of one duration. A window ends with the tenth call after its minimum
/// length.
async fn calls(limiter: &Limiter, class: usize, count: u32, millis: u64) {
    let permits: Vec<_> =
        (0..count).filter_map(|_| limiter.try_enter(class, Instant::now()).ok()).collect();
    advance(Duration::from_millis(millis)).await;
    permits.into_iter().rev().for_each(Permit::answered);
}

#[tokio::test(start_paused = true)]
async fn one_more_than_the_limit_is_refused_until_one_ends() {
    let limiter = limiter(1, 2, 2);
    let first = limiter.try_enter(0, Instant::now()).unwrap();
    let second = limiter.try_enter(1, Instant::now()).unwrap();
    assert_eq!(limiter.try_enter(0, Instant::now()).unwrap_err().limit, 2);
    assert_eq!(limiter.snapshot(), Snapshot { limit: 2, in_flight: 2 });
    drop(first);
    let third = limiter.try_enter(0, Instant::now()).unwrap();
    second.answered();
    third.answered();
    assert_eq!(limiter.snapshot().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_used_stays() {
    let limiter = limiter(10, 100, 1000);
    for _ in 0..50 {
        calls(&limiter, 0, 20, 20).await;
    }
    assert_eq!(limit(&limiter), 100);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_used_up_grows_while_nothing_is_slow() {
    let limiter = limiter(10, 100, 150);
    calls(&limiter, 0, 20, 110).await;
    calls(&limiter, 0, 100, 110).await;
    assert_eq!(limit(&limiter), 110);
    for _ in 0..20 {
        calls(&limiter, 0, 1000, 110).await;
    }
    assert_eq!(limit(&limiter), 150);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_lower_the_limit_by_half_at_most() {
    let learned = || async {
        let limiter = limiter(10, 100, 1000);
        calls(&limiter, 0, 10, 100).await;
        limiter
    };
    let slightly = learned().await;
    calls(&slightly, 0, 100, 250).await;
    assert!((79..=80).contains(&limit(&slightly)), "{slightly:?}");
    let badly = learned().await;
    calls(&badly, 0, 100, 2000).await;
    assert_eq!(limit(&badly), 50);
    let mut lowest = limit(&badly);
    for _ in 0..6 {
        calls(&badly, 0, 100, 500).await;
        lowest = lowest.min(limit(&badly));
    }
    assert_eq!(lowest, 10, "never below the minimum");
}

#[tokio::test(start_paused = true)]
async fn a_few_milliseconds_are_never_slow() {
    let limiter = limiter(10, 100, 100);
    for _ in 0..20 {
        calls(&limiter, 0, 20, 1).await;
    }
    advance(Duration::from_millis(100)).await;
    for _ in 0..20 {
        calls(&limiter, 0, 100, 19).await;
    }
    assert_eq!(limit(&limiter), 100);
}

#[tokio::test(start_paused = true)]
async fn long_calls_are_not_slow_beside_short_ones() {
    let limiter = limiter(10, 100, 100);
    for _ in 0..100 {
        calls(&limiter, 0, 10, 20).await;
        calls(&limiter, 1, 10, 500).await;
        let long = limiter.try_enter(1, Instant::now()).unwrap();
        calls(&limiter, 0, 50, 20).await;
        advance(Duration::from_millis(480)).await;
        long.answered();
    }
    assert_eq!(limit(&limiter), 100);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_counts_only_if_it_took_too_long() {
    let limiter = limiter(10, 100, 100);
    calls(&limiter, 0, 10, 100).await;
    let give_up = async |millis| {
        let permits: Vec<_> =
            (0..50).map(|_| limiter.try_enter(0, Instant::now()).unwrap()).collect();
        advance(Duration::from_millis(millis)).await;
        drop(permits);
    };
    give_up(1).await;
    give_up(150).await;
    calls(&limiter, 0, 10, 100).await;
    assert_eq!(limit(&limiter), 100);
    give_up(1000).await;
    assert_eq!(limit(&limiter), 50);
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_call_does_not_make_slow_calls_fast_for_ever() {
    let limiter = limiter(10, 100, 100);
    calls(&limiter, 0, 1, 5000).await;
    for _ in 0..30 {
        calls(&limiter, 0, 20, 50).await;
    }
    calls(&limiter, 0, 100, 500).await;
    calls(&limiter, 0, 100, 500).await;
    assert!(limit(&limiter) < 100);
}

#[tokio::test(start_paused = true)]
async fn a_limit_learned_before_a_change_does_not_hold_it_down() {
    let limiter = limiter(10, 100, 100);
    calls(&limiter, 0, 10, 100).await;
    let before: Vec<_> = (0..50).map(|_| limiter.try_enter(0, Instant::now()).unwrap()).collect();
    calls(&limiter, 0, 50, 300).await;
    let lowered = limit(&limiter);
    assert!(lowered < 100);
    advance(Duration::from_millis(200)).await;
    before.into_iter().for_each(Permit::answered);
    assert_eq!(limit(&limiter), lowered);
}

#[tokio::test(start_paused = true)]
async fn the_retry_delay_grows_with_the_number_of_refusals() {
    let limiter = limiter(10, 10, 10);
    let away = || limiter.try_enter(0, Instant::now()).unwrap_err().retry_after(0.5);
    let full =
        || -> Vec<_> { (0..10).map(|_| limiter.try_enter(0, Instant::now()).unwrap()).collect() };
    let mut permits = full();
    assert_eq!(away().as_millis(), 100);
    for _ in 0..39 {
        away();
    }
    advance(Duration::from_millis(110)).await;
    permits.drain(..).for_each(Permit::answered);
    permits = full();
    assert_eq!(away().as_millis(), 500, "four for each that was let in");
    let refused = limiter.try_enter(0, Instant::now()).unwrap_err();
    assert_eq!(refused.retry_after(0.0).as_millis(), 250);
    for _ in 0..10_000 {
        away();
    }
    advance(Duration::from_millis(110)).await;
    drop(permits);
    calls(&limiter, 0, 10, 110).await;
    let _full = full();
    assert!(away().as_secs() <= 2);
}

/// Lets each caller take all the permits it gets, one caller after the other. Returns the number of
/// each and the permits.
fn taken(limiter: &Limiter, callers: impl IntoIterator<Item = u64>) -> (Vec<usize>, Vec<Permit>) {
    let mut all = Vec::new();
    let enter = |caller| limiter.try_enter_for(caller, 0, Instant::now()).ok();
    let each = callers.into_iter().map(|caller| {
        let before = all.len();
        all.extend(std::iter::from_fn(|| enter(caller)));
        all.len() - before
    });
    (each.collect(), all)
}

#[tokio::test(start_paused = true)]
async fn a_caller_alone_has_the_limit_and_others_find_places() {
    let limiter = limiter(64, 64, 64);
    let (each, _permits) = taken(&limiter, 1..=30);
    // A third more is reserved, one call for each caller without any.
    let mut expected = vec![64];
    expected.extend([1; 21]);
    expected.resize(30, 0);
    assert_eq!(each, expected);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_full_share_of_its_caller() {
    let limiter = limiter(9, 9, 9);
    let refused = |caller| limiter.try_enter_for(caller, 0, Instant::now()).unwrap_err();
    let (_, mut permits) = taken(&limiter, [1]);
    assert!(refused(1).of_caller);
    permits.extend(taken(&limiter, 2..=4).1);
    assert!(!refused(1).of_caller);
    assert!(!refused(5).of_caller);
    assert_eq!(limiter.snapshot(), Snapshot { limit: 9, in_flight: 12 });
}

#[tokio::test(start_paused = true)]
async fn freed_places_are_shared_with_newcomers() {
    let limiter = limiter(64, 64, 64);
    let (_, mut permits) = taken(&limiter, [1]);
    let one = || limiter.try_enter_for(2, 0, Instant::now());
    let mut others = vec![one().unwrap()];
    // Each ended call is followed by one of each caller.
    for _ in 0..64 {
        permits.remove(0).answered();
        others.extend(one().ok());
        permits.extend(limiter.try_enter_for(1, 0, Instant::now()).ok());
    }
    assert!((31..=33).contains(&others.len()), "{}", others.len());
    assert!((31..=33).contains(&permits.len()), "{}", permits.len());
}

#[tokio::test(start_paused = true)]
async fn modest_callers_leave_most_to_a_busy_one() {
    let limiter = limiter(64, 64, 64);
    let _few: Vec<_> =
        (2..12).map(|caller| limiter.try_enter_for(caller, 0, Instant::now()).unwrap()).collect();
    let (each, _permits) = taken(&limiter, [1]);
    assert_eq!(each, [38], "up to three quarters of the limit");
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_very_low_is_not_shared_out() {
    let limiter = limiter(5, 5, 5);
    assert_eq!(taken(&limiter, [1, 2]).0, [5, 0]);
}

#[tokio::test(start_paused = true)]
async fn calls_of_any_length_are_not_measured() {
    let limiter = limiter(10, 100, 100);
    calls(&limiter, 0, 10, 100).await;
    for _ in 0..10 {
        let permits: Vec<_> = (0..50)
            .map(|caller| limiter.try_enter_for(caller, 0, Instant::now()).unwrap().unmeasured())
            .collect();
        advance(Duration::from_secs(10)).await;
        drop(permits);
        calls(&limiter, 0, 10, 100).await;
    }
    assert_eq!(limiter.snapshot(), Snapshot { limit: 100, in_flight: 0 });
}

#[test]
fn numbers_that_are_no_limit_are_refused() {
    let check = |change: fn(&mut ConcurrencyParameters)| {
        let mut parameters = ConcurrencyParameters::default();
        change(&mut parameters);
        ConcurrencyConfig::try_new(parameters).unwrap_err()
    };
    assert_eq!(check(|p| p.min = 0), InvalidConcurrency::Order);
    assert_eq!(check(|p| p.min = 101), InvalidConcurrency::Order);
    assert_eq!(check(|p| p.max = 99), InvalidConcurrency::Order);
    assert_eq!(check(|p| p.max = 100_001), InvalidConcurrency::Order);
    assert_eq!(check(|p| p.tolerance = 1.0), InvalidConcurrency::Tolerance);
    assert_eq!(check(|p| p.tolerance = f64::NAN), InvalidConcurrency::Tolerance);
    assert_eq!(check(|p| p.fast = Duration::ZERO), InvalidConcurrency::Fast);
}

/// Event of a limiter.
#[derive(Clone, Copy, Debug)]
enum Event {
    Enter(usize),
    Answer(prop::sample::Index),
    GiveUp(prop::sample::Index),
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (0_usize..2).prop_map(Event::Enter),
        3 => any::<prop::sample::Index>().prop_map(Event::Answer),
        1 => any::<prop::sample::Index>().prop_map(Event::GiveUp),
        1 => (0_u64..200).prop_map(Event::Wait),
    ];
    prop::collection::vec(event, 0..2000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn no_sequence_breaks_the_count_or_the_bounds(events in events()) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let limiter = limiter(8, 20, 40);
            let mut permits = Vec::new();
            for event in events {
                match event {
                    Event::Enter(class) => match limiter.try_enter(class, Instant::now()) {
                        Ok(permit) => permits.push(permit),
                        Err(refused) => assert!(permits.len() >= refused.limit as usize),
                    },
                    Event::Answer(which) if !permits.is_empty() => {
                        permits.swap_remove(which.index(permits.len())).answered();
                    }
                    Event::GiveUp(which) if !permits.is_empty() => {
                        drop(permits.swap_remove(which.index(permits.len())));
                    }
                    Event::Answer(_) | Event::GiveUp(_) => {}
                    Event::Wait(millis) => advance(Duration::from_millis(millis)).await,
                }
                let Snapshot { limit, in_flight } = limiter.snapshot();
                assert_eq!(in_flight as usize, permits.len());
                // A quarter of the minimum while the baseline is relearned.
                assert!((8..=40).contains(&limit) || limit == 2, "{limit}");
            }
        });
    }
}
