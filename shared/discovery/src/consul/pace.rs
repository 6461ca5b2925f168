//! Delays between requests.

use std::time::Duration;

use tokio::time::Instant;

/// Cost of an answer with changes.
const NEWS: Duration = Duration::from_millis(50);
const NO_NEWS: Duration = Duration::from_secs(1);

/// Cost that causes no delay.
const BURST: Duration = Duration::from_secs(1);

/// Rate limit for blocking queries that return at once. Each answer has a cost in time, which
/// passing time pays off. Only a debt above [`BURST`] causes a delay, so up to 20 changes per
/// second are fetched without delay.
#[derive(Debug)]
pub(super) struct Pace {
    paid: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// Returns the delay before the next query.
    pub(super) fn after(&mut self, now: Instant, news: bool) -> Duration {
        self.paid = self.paid.max(now) + if news { NEWS } else { NO_NEWS };
        (self.paid - now).saturating_sub(BURST)
    }
}

/// First and longest delay after a failure.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(4);

/// Backoff that doubles the delay with each consecutive failure.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the delay after another failure. `random` is in 0..1 and spreads clients that failed
    /// together over the upper half of the delay.
    pub(super) fn failed(&mut self, random: f64) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + random / 2.0)
    }

    /// Resets the delay after a success.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// Spreads a period by up to 10 % in both directions, so that clients do not act in step.
pub(super) fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.9 + random / 5.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn queries_without_changes_slow_down_to_one_per_second() {
        let (start, mut now) = (Instant::now(), Instant::now());
        let mut pace = Pace::new(now);
        assert_eq!(pace.after(now, false), Duration::ZERO, "a single query is not a loop");
        for _ in 0..100 {
            now += pace.after(now, false);
        }
        assert_eq!(now - start, Duration::from_secs(100));
    }

    #[tokio::test(start_paused = true)]
    async fn changes_are_fetched_at_once_within_the_burst() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..20 {
            assert_eq!(pace.after(now, true), Duration::ZERO);
        }
        assert_eq!(pace.after(now, true), NEWS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_pays_off_the_debt() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += Duration::from_secs(30);
            assert_eq!(pace.after(now, false), Duration::ZERO);
        }
    }

    #[test]
    fn failures_double_the_delay_and_success_resets_it() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..7).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 4000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.0), Duration::from_millis(50));
    }

    proptest! {
        #[test]
        fn delays_are_within_their_limits(failures in 0_u32..100, random in 0.0..1.0) {
            let pause = Backoff { failures }.failed(random);
            prop_assert!(pause >= FIRST / 2 && pause <= LONGEST);
        }
    }
}
