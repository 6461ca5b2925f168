//! Sliding windows of calls.

use std::time::Duration;

use tokio::time::Instant;

use super::config::WindowKind;

/// Counts of the calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All calls but neutral ones.
    pub calls: u32,
    /// Failed calls.
    pub failed: u32,
    /// Slow calls, failed or not.
    pub slow: u32,
}

impl Counts {
    pub(super) fn failure_rate(self) -> f64 {
        f64::from(self.failed) / f64::from(self.calls.max(1))
    }

    pub(super) fn slow_rate(self) -> f64 {
        f64::from(self.slow) / f64::from(self.calls.max(1))
    }

    fn add(&mut self, call: Ended) {
        self.calls = self.calls.saturating_add(1);
        self.failed = self.failed.saturating_add(call.failed.into());
        self.slow = self.slow.saturating_add(call.slow.into());
    }

    fn subtract(&mut self, call: Ended) {
        self.calls -= 1;
        self.failed -= u32::from(call.failed);
        self.slow -= u32::from(call.slow);
    }
}

/// Counted outcome of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

#[derive(Debug)]
pub(super) enum Window {
    Calls(LastCalls),
    Time(LastPeriods),
}

impl Window {
    pub(super) fn new(kind: WindowKind) -> Self {
        match kind {
            WindowKind::Calls(calls) => Self::Calls(LastCalls {
                ring: vec![Ended::default(); calls as usize].into(),
                next: 0,
                counts: Counts::default(),
            }),
            WindowKind::Time { buckets, bucket } => Self::Time(LastPeriods {
                ring: vec![Counts::default(); buckets as usize].into(),
                newest: 0,
                began: None,
                bucket,
            }),
        }
    }

    pub(super) fn push(&mut self, call: Ended, now: Instant) {
        match self {
            Self::Calls(calls) => calls.push(call),
            Self::Time(periods) => periods.push(call, now),
        }
    }

    pub(super) fn counts(&self, now: Instant) -> Counts {
        match self {
            Self::Calls(calls) => calls.counts,
            Self::Time(periods) => periods.counts(now),
        }
    }

    pub(super) fn clear(&mut self) {
        match self {
            Self::Calls(calls) => calls.clear(),
            Self::Time(periods) => periods.clear(),
        }
    }
}

/// Ring of the last calls.
#[derive(Debug)]
pub(super) struct LastCalls {
    ring: Box<[Ended]>,
    next: usize,
    counts: Counts,
}

impl LastCalls {
    pub(super) fn push(&mut self, call: Ended) {
        if self.counts.calls as usize == self.ring.len() {
            self.counts.subtract(self.ring[self.next]);
        }
        self.ring[self.next] = call;
        self.counts.add(call);
        self.next = (self.next + 1) % self.ring.len();
    }

    /// Returns the number of calls if none failed or was slow.
    pub(super) fn all_good(&self) -> Option<u32> {
        (self.counts.failed == 0 && self.counts.slow == 0).then_some(self.counts.calls)
    }

    pub(super) fn clear(&mut self) {
        // The ring is never read beyond the counted calls, so it need not be cleared.
        self.next = 0;
        self.counts = Counts::default();
    }
}

/// Ring of the last periods.
#[derive(Debug)]
pub(super) struct LastPeriods {
    ring: Box<[Counts]>,
    newest: usize,
    /// Start of the newest period; `None` before the first call.
    began: Option<Instant>,
    bucket: Duration,
}

impl LastPeriods {
    /// Returns the number of periods from the newest one to `now`; 0 if the clock went back.
    fn ahead(&self, now: Instant) -> u128 {
        let since = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        since.as_nanos() / self.bucket.as_nanos().max(1)
    }

    fn push(&mut self, call: Ended, now: Instant) {
        let ahead = self.ahead(now);
        // More than one turn would only clear the same periods again.
        for _ in 0..ahead.min(self.ring.len() as u128) {
            self.newest = (self.newest + 1) % self.ring.len();
            self.ring[self.newest] = Counts::default();
        }
        self.began = Some(match self.began {
            // The remainder keeps the periods aligned without multiplying a long duration.
            Some(began) => {
                let into = now.saturating_duration_since(began).as_nanos() % self.bucket.as_nanos();
                if ahead == 0 { began } else { now - Duration::from_nanos_u128(into) }
            }
            None => now,
        });
        self.ring[self.newest].add(call);
    }

    fn counts(&self, now: Instant) -> Counts {
        let kept = (self.ring.len() as u128).saturating_sub(self.ahead(now)) as usize;
        let length = self.ring.len();
        (0..kept).map(|back| self.ring[(self.newest + length - back) % length]).fold(
            Counts::default(),
            |sum, period| Counts {
                calls: sum.calls.saturating_add(period.calls),
                failed: sum.failed.saturating_add(period.failed),
                slow: sum.slow.saturating_add(period.slow),
            },
        )
    }

    fn clear(&mut self) {
        self.ring.fill(Counts::default());
        self.began = None;
    }
}
