//! How soon the next request may follow.

use std::time::Duration;

use tokio::time::Instant;

/// What an answer with news costs, and one without.
const NEWS: Duration = Duration::from_millis(50);
const NO_NEWS: Duration = Duration::from_secs(1);

/// The cost that is let through at once.
const BURST: Duration = Duration::from_secs(1);

/// Keeps blocking queries that return at once from becoming a busy loop: each answer
/// costs time, and only a debt above [`BURST`] is waited for. So news is fetched
/// without a pause until it is more than twenty a second.
#[derive(Debug)]
pub(super) struct Pace {
    paid: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { paid: now }
    }

    /// How long to wait before asking again.
    pub(super) fn after(&mut self, now: Instant, news: bool) -> Duration {
        self.paid = self.paid.max(now) + if news { NEWS } else { NO_NEWS };
        (self.paid - now).saturating_sub(BURST)
    }
}

/// The first pause after a failure, and the longest.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(4);

/// Doubles the pause with each failure in a row.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How long to wait after a further failure; `random` is in 0..1 and spreads
    /// those who failed together over the upper half of the pause.
    pub(super) fn failed(&mut self, random: f64) -> Duration {
        let longest = FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        longest.mul_f64(0.5 + random / 2.0)
    }

    /// It works again.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }
}

/// A period spread by a tenth to both sides, so that many do not beat together.
pub(super) fn jittered(period: Duration, random: f64) -> Duration {
    period.mul_f64(0.9 + random / 5.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_without_news_come_down_to_one_a_second() {
        let (start, mut now) = (Instant::now(), Instant::now());
        let mut pace = Pace::new(now);
        assert_eq!(pace.after(now, false), Duration::ZERO, "a single one is no loop");
        for _ in 0..100 {
            now += pace.after(now, false);
        }
        assert_eq!(now - start, Duration::from_secs(100));
    }

    #[tokio::test(start_paused = true)]
    async fn news_is_fetched_at_once_unless_it_never_ends() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..20 {
            assert_eq!(pace.after(now, true), Duration::ZERO);
        }
        assert_eq!(pace.after(now, true), NEWS);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_long_for_an_answer_pays_for_it() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        for _ in 0..100 {
            now += Duration::from_secs(30);
            assert_eq!(pace.after(now, false), Duration::ZERO);
        }
    }

    #[test]
    fn failures_double_the_pause_up_to_its_limit_and_success_forgets_them() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..7).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 4000]);
        backoff.succeeded();
        assert_eq!(backoff.failed(0.0), Duration::from_millis(50));
    }

    proptest! {
        #[test]
        fn a_pause_is_never_nothing_and_never_beyond_the_limit(failures in 0_u32..100, random in 0.0..1.0) {
            let pause = Backoff { failures }.failed(random);
            prop_assert!(pause >= FIRST / 2 && pause <= LONGEST);
        }
    }
}
