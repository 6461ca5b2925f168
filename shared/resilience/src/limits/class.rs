//! Latency of one class of calls.

/// Number of calls over which the baseline is averaged.
const MEMORY: f64 = 64.0;

/// Number of calls from which a mean is meaningful.
const TELLING: f64 = 10.0;

/// One class of calls: latencies of all, and of those with few others beside them. Times are in
/// seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Class {
    /// Unknown until a window with quiet calls has ended.
    baseline: Option<f64>,
    /// Number of calls that the baseline was learned from, up to [`MEMORY`].
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
    /// Adds the latency of a call; `quiet` if it had few others beside it.
    pub(super) fn add(&mut self, seconds: f64, quiet: bool) {
        self.all.add(seconds);
        if quiet {
            self.quiet.add(seconds);
        }
    }

    /// Returns the baseline, at least `fast`, if it is known.
    pub(super) fn baseline(&self, fast: f64) -> Option<f64> {
        self.baseline.map(|baseline| baseline.max(fast))
    }

    /// Ends a window. Returns the sum of the latencies as a multiple of the baseline. With `anew`,
    /// forgets the baseline if there are calls to relearn it from.
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
            // Plain mean of the first calls, then a moving mean.
            self.known = (self.known + quiet.calls).min(MEMORY);
            let weight = (quiet.calls / self.known).min(1.0);
            self.baseline = Some(baseline + (quiet.mean() - baseline) * weight);
        } else if all.calls >= TELLING && all.mean() < baseline {
            // Load only adds latency, so the latency on an idle server is at most this.
            self.baseline = Some(all.mean());
        }
    }
}
