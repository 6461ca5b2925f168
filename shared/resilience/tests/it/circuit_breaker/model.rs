use gantry_resilience::circuit_breaker::Counts;

use super::*;

/// Reference model of the rules, slow and plain: it remembers every call.
pub(super) struct Model {
    parameters: Parameters,
    pub(super) state: State,
    pub(super) generation: u64,
    pub(super) openings: u32,
    pub(super) until: Instant,
    pub(super) granted: Instant,
    pub(super) out: u32,
    /// Calls since the state began: time (by the window's clock), failed, slow.
    ended: Vec<(u128, bool, bool)>,
    began: Option<Instant>,
    pub(super) run: u32,
}

impl Model {
    pub(super) fn new(parameters: Parameters, now: Instant) -> Self {
        Self {
            parameters,
            state: State::Closed,
            generation: 0,
            openings: 0,
            until: now,
            granted: now,
            out: 0,
            ended: Vec::new(),
            began: None,
            run: 0,
        }
    }

    fn enter(&mut self, state: State) {
        *self = Self {
            state,
            generation: self.generation + 1,
            openings: if state == State::Closed { 0 } else { self.openings },
            ..Self::new(self.parameters, self.until)
        };
    }

    pub(super) fn admit(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => return true,
            State::Open if now < self.until => return false,
            State::Open => self.enter(State::HalfOpen),
            State::HalfOpen if self.out + self.good() < self.parameters.probes => {
                self.out += 1;
                self.granted = self.granted.max(now);
                return true;
            }
            State::HalfOpen if now >= self.granted + self.parameters.probe_timeout => {
                self.enter(State::HalfOpen);
            }
            State::HalfOpen => return false,
        }
        (self.out, self.granted) = (1, now);
        true
    }

    pub(super) fn end(&mut self, generation: u64, took: Duration, outcome: Outcome, now: Instant) {
        if generation != self.generation || self.state == State::Open {
            return;
        }
        self.out = self.out.saturating_sub(1);
        let failed = outcome == Outcome::Failed;
        let slow = outcome == Outcome::Slow || took >= SECOND;
        if outcome != Outcome::Neutral {
            let period = self.period(now);
            self.began.get_or_insert(now);
            self.ended.push((period, failed, slow));
            self.run = if failed { self.run + 1 } else { 0 };
            self.judge(now);
        }
    }

    fn judge(&mut self, now: Instant) {
        let p = self.parameters;
        let counts = self.counts(now);
        let rate = |some: u32| f64::from(some) / f64::from(counts.calls.max(1));
        let opens = if self.state == State::HalfOpen {
            let slow = self.ended.iter().filter(|(_, _, slow)| *slow).count() as f64;
            if self.run == 0 && self.good() == p.probes && slow / f64::from(p.probes) < p.slow_rate
            {
                return self.enter(State::Closed);
            }
            self.run > 0 || self.good() == p.probes
        } else {
            self.run >= p.consecutive_failures
                || counts.calls >= p.minimum_calls
                    && (rate(counts.failed) >= p.failure_rate || rate(counts.slow) >= p.slow_rate)
        };
        if opens {
            self.enter(State::Open);
            self.openings += 1;
            let doubled = p.open * 2_u32.pow(self.openings.min(10) - 1);
            self.until = now + doubled.min(p.open_max);
        }
    }

    pub(super) fn good(&self) -> u32 {
        if self.state == State::HalfOpen { self.ended.len() as u32 } else { 0 }
    }

    /// Returns the period of a time window. It never goes back.
    fn period(&self, now: Instant) -> u128 {
        let WindowKind::Time { bucket, .. } = self.parameters.window else { return 0 };
        let since = self.began.map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let newest = self.ended.iter().map(|(period, ..)| *period).max().unwrap_or(0);
        newest.max(since.as_nanos() / bucket.as_nanos())
    }

    pub(super) fn counts(&self, now: Instant) -> Counts {
        if self.state == State::HalfOpen {
            return Counts::default();
        }
        let kept: Vec<_> = match self.parameters.window {
            WindowKind::Calls(calls) => self.ended.iter().rev().take(calls as usize).collect(),
            WindowKind::Time { buckets, .. } => {
                let current = self.period(now);
                let fresh = |period: u128| period + u128::from(buckets) > current;
                self.ended.iter().filter(|(period, ..)| fresh(*period)).collect()
            }
        };
        Counts {
            calls: kept.len() as u32,
            failed: kept.iter().filter(|(_, failed, _)| *failed).count() as u32,
            slow: kept.iter().filter(|(_, _, slow)| *slow).count() as u32,
        }
    }
}
