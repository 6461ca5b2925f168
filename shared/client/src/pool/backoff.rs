//! Pauses between attempts to connect.

use std::time::Duration;

use fastrand::Rng;

const FACTOR: f64 = 1.6;
const JITTER: f64 = 0.2;

/// Pauses that grow by [`FACTOR`] from an initial to a maximum length. Each has a jitter of
/// [`JITTER`], so that clients do not reconnect in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    initial: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new(initial: Duration, longest: Duration) -> Self {
        Self { initial, longest, next: initial }
    }

    /// Returns the next pause, and lengthens the following one.
    pub(crate) fn pause(&mut self, rng: &mut Rng) -> Duration {
        let pause = self.next.min(self.longest);
        self.next = pause.mul_f64(FACTOR);
        pause.mul_f64(1.0 - JITTER + 2.0 * JITTER * rng.f64())
    }

    /// Returns to the initial pause.
    pub(crate) fn reset(&mut self) {
        self.next = self.initial;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest_and_begin_again_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(10));
        let mut rng = Rng::with_seed(1);
        let mut expected: f64 = 0.1;
        for _ in 0..20 {
            let pause = backoff.pause(&mut rng).as_secs_f64();
            assert!((0.8 * expected..=1.2 * expected).contains(&pause), "{pause} for {expected}");
            expected = (expected * 1.6).min(10.0);
        }
        backoff.reset();
        assert!(backoff.pause(&mut rng) <= Duration::from_millis(120));
    }
}
