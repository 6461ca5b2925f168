//! Finds how many calls at once do not slow each other down too much.

use std::time::Duration;

use tokio::time::Instant;

use super::{class::Class, concurrency::ConcurrencyConfig};

/// The shortest time that is judged, and the fewest calls.
pub(super) const WINDOW: Duration = Duration::from_millis(100);
const CALLS: u32 = 10;

/// The most that a limit falls at once.
const STEEPEST: f64 = 0.5;

/// Part of the limit that has to have been used for it to grow.
const USED: f64 = 0.8;

/// Part of the limit up to which calls do not slow each other down: the limit settles where
/// they take `tolerance` times their baseline, so half of that would do for a tolerance of 2.
const QUIET: f64 = 0.25;

/// How long a baseline holds at the lowest limit.
const STALE: Duration = Duration::from_secs(10);

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) class: usize,
    pub(super) started: Instant,
    /// How many calls were under way when it started, itself included.
    pub(super) in_flight: u32,
    /// Whether it was answered. One that was refused or given up says how long it takes
    /// only where that was too long already.
    pub(super) answered: bool,
}

/// A window that was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    /// The limit from now on.
    pub(super) limit: u32,
    /// The calls it was judged by.
    pub(super) calls: u32,
}

#[derive(Debug)]
pub(super) struct Controller {
    config: ConcurrencyConfig,
    limit: f64,
    classes: Box<[Class]>,
    /// Calls that started before it ran under another limit, and do not count.
    since: Instant,
    /// When there were last calls with few others beside them.
    quiet_at: Instant,
    /// Whether the limit is kept low to learn the baselines anew.
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

    /// The most calls at once.
    pub(super) fn limit(&self) -> u32 {
        // Within the bounds of the configuration, which are numbers of 32 bits.
        if self.probing { self.quiet() } else { self.limit as u32 }
    }

    /// Up to how many calls at once count as few.
    fn quiet(&self) -> u32 {
        (self.limit * QUIET).max(1.0) as u32
    }

    /// A call has ended. Says what the limit is where a window ended with it.
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
        // A number of ours: `Limiter` checks it.
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
