//! How long the calls of one class take.

/// How many calls the baseline remembers.
const MEMORY: f64 = 64.0;

/// Calls whose mean says something.
const TELLING: f64 = 10.0;

/// One class of calls: what they take, and what they took while there was little else.
/// Times are in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Class {
    /// Unknown until the first window ends that has such calls.
    baseline: Option<f64>,
    /// How many calls the baseline was learned from, up to [`MEMORY`].
    known: f64,
    all: Sum,
    quiet: Sum,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    calls: f64,
    seconds: f64,
}

impl Sum {
    fn add(&mut self, seconds: f64) {
        self.calls += 1.0;
        self.seconds += seconds;
    }

    fn mean(self) -> f64 {
        self.seconds / self.calls
    }
}

impl Class {
    /// A call took so long; `quiet` where it had few others beside it.
    pub(super) fn add(&mut self, seconds: f64, quiet: bool) {
        self.all.add(seconds);
        if quiet {
            self.quiet.add(seconds);
        }
    }

    /// What its calls count as at least, where that is known.
    pub(super) fn baseline(&self, fast: f64) -> Option<f64> {
        self.baseline.map(|baseline| baseline.max(fast))
    }

    /// Ends a window: how many times the baseline its calls took, all together. `anew`
    /// forgets the baseline where there are calls to learn it from.
    pub(super) fn close(&mut self, fast: f64, anew: bool) -> f64 {
        let Self { all, quiet, .. } = *self;
        (self.all, self.quiet) = (Sum::default(), Sum::default());
        if all.calls == 0.0 {
            return 0.0;
        }
        self.learn(all, quiet, anew);
        all.seconds / self.baseline(fast).unwrap_or(fast)
    }

    fn learn(&mut self, all: Sum, quiet: Sum, anew: bool) {
        let Some(baseline) = self.baseline.filter(|_| !anew || quiet.calls == 0.0) else {
            let first = if quiet.calls > 0.0 { quiet } else { all };
            (self.baseline, self.known) = (Some(first.mean()), quiet.calls.min(MEMORY));
            return;
        };
        if quiet.calls > 0.0 {
            // The plain mean of what is known at first, then of the last so many.
            self.known = (self.known + quiet.calls).min(MEMORY);
            let weight = (quiet.calls / self.known).min(1.0);
            self.baseline = Some(baseline + (quiet.mean() - baseline) * weight);
        } else if all.calls >= TELLING && all.mean() < baseline {
            // Load only adds to what a call takes: without it they take no more than this.
            self.baseline = Some(all.mean());
        }
    }
}
