//! Controller of the limit: finds how many calls at once do not slow each other down.

use std::time::Duration;

use tokio::time::Instant;

use super::{class::Class, concurrency::ConcurrencyConfig};

/// Minimum length of a window; see also the minimum number of calls.
pub(super) const WINDOW: Duration = Duration::from_millis(100);
const CALLS: u32 = 10;

/// Maximum decrease in one step, as a factor.
const STEEPEST: f64 = 0.5;

/// Part of the limit that must be in use for it to grow.
const USED: f64 = 0.8;

/// Part of the limit up to which calls do not slow each other down. The limit settles where calls
/// take `tolerance` times their baseline; half of that would do for a tolerance of 2.
const QUIET: f64 = 0.25;

/// Time without a quiet call after which a baseline at the lowest limit is relearned.
const STALE: Duration = Duration::from_secs(10);

/// Measurement of a call that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) class: usize,
    pub(super) started: Instant,
    /// Number of calls in flight when it started, including itself.
    pub(super) in_flight: u32,
    /// True if the call was answered. A refused or abandoned call is evidence only if it already
    /// took too long.
    pub(super) answered: bool,
}

/// Result of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// Limit from now on.
    pub(super) limit: u32,
    /// Number of calls in the window.
    pub(super) calls: u32,
}

#[derive(Debug)]
pub(super) struct Controller {
    config: ConcurrencyConfig,
    limit: f64,
    classes: Box<[Class]>,
    /// Start of the window. Calls that started earlier ran under another limit and do not count.
    since: Instant,
    /// Time of the last call with few others beside it.
    quiet_at: Instant,
    /// True while the limit is lowered to relearn the baselines.
    probing: bool,
    window: Window,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    calls: u32,
    peak: u32,
}

impl Window {
    fn new(began: Instant) -> Self {
        Self { began, calls: 0, peak: 0 }
    }
}

impl Controller {
    pub(super) fn new(config: ConcurrencyConfig, classes: usize, now: Instant) -> Self {
        Self {
            limit: config.parameters().initial.into(),
            config,
            classes: vec![Class::default(); classes].into(),
            since: now,
            quiet_at: now,
            probing: false,
            window: Window::new(now),
        }
    }

    /// Returns the current limit.
    pub(super) fn limit(&self) -> u32 {
        // Fits: the configuration bounds it to 32 bits.
        if self.probing { self.quiet() } else { self.limit as u32 }
    }

    /// Returns the number of calls at once that counts as few.
    fn quiet(&self) -> u32 {
        (self.limit * QUIET).max(1.0) as u32
    }

    /// Records a call that ended. Returns the new limit if the window ended with it.
    pub(super) fn record(&mut self, now: Instant, sample: Sample) -> Option<Judged> {
        self.window.peak = self.window.peak.max(sample.in_flight);
        if sample.started >= self.since {
            self.learn(now, sample);
        }
        let over = now.saturating_duration_since(self.window.began) >= WINDOW;
        (over && self.window.calls >= CALLS).then(|| self.judge(now))
    }

    fn learn(&mut self, now: Instant, sample: Sample) {
        let fast = self.config.parameters().fast.as_secs_f64();
        let seconds = now.saturating_duration_since(sample.started).as_secs_f64();
        let quiet = sample.in_flight <= self.quiet();
        // In range: `Limiter` checks the class.
        let class = &mut self.classes[sample.class];
        if sample.answered {
            class.add(seconds, quiet);
            if quiet {
                self.quiet_at = now;
            }
        } else if class
            .baseline(fast)
            .is_some_and(|baseline| seconds > self.config.parameters().tolerance * baseline)
        {
            class.add(seconds, false);
        } else {
            return;
        }
        self.window.calls += 1;
    }

    fn judge(&mut self, now: Instant) -> Judged {
        let parameters = *self.config.parameters();
        let fast = parameters.fast.as_secs_f64();
        let anew = self.probing;
        let times: f64 = self.classes.iter_mut().map(|class| class.close(fast, anew)).sum();
        let slow = times / f64::from(self.window.calls) / parameters.tolerance;
        if self.probing {
            self.probing = false;
            self.since = now;
        } else if slow > 1.0 {
            let least = f64::from(parameters.min);
            let lowest = self.limit <= least;
            self.limit = (self.limit * (1.0 / slow).max(STEEPEST)).max(least);
            self.probing = lowest && now.saturating_duration_since(self.quiet_at) >= STALE;
            self.since = now;
        } else if f64::from(self.window.peak) >= USED * self.limit {
            self.limit = (self.limit + self.limit.sqrt()).min(parameters.max.into());
        }
        let calls = self.window.calls;
        self.window = Window::new(now);
        Judged { limit: self.limit(), calls }
    }
}
