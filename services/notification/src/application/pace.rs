//! Pace of the sender.

use std::time::Duration;

/// Pace of the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Number of mails sent at the same time.
    pub parallel: usize,
    /// Interval of looks for mails that are due.
    pub poll: Duration,
    /// Length of a lease. Longer than an attempt can take.
    pub lease: Duration,
    /// Pause after the first failure. It doubles with each.
    pub retry_min: Duration,
    /// Longest pause.
    pub retry_max: Duration,
    /// Age from which on a mail that could not be sent has failed.
    pub give_up_after: Duration,
}

impl Pace {
    /// Returns the pause after this number of earlier failures.
    pub fn pause(&self, failures: u32) -> Duration {
        let factor = 2_u32.saturating_pow(failures);
        self.retry_min.checked_mul(factor).unwrap_or(self.retry_max).min(self.retry_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_up_to_the_longest() {
        let second = Duration::from_secs(1);
        let pace = Pace {
            parallel: 1,
            poll: second,
            lease: second,
            retry_min: second * 5,
            retry_max: second * 30,
            give_up_after: second,
        };
        let pauses = [0, 1, 2, 3, 40, u32::MAX].map(|failures| pace.pause(failures).as_secs());
        assert_eq!(pauses, [5, 10, 20, 30, 30, 30]);
    }
}
