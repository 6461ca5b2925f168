//! Load of one endpoint.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Decay time of a peak: after it, 37 % of the peak are left.
const DECAY_SECONDS: f32 = 10.0;

/// Time that a failure counts as: an endpoint that fails fast must not look fast.
const FAILURE: Duration = Duration::from_secs(5);

/// Longest time that a failure counts as, whatever the server says.
const LONGEST_FAILURE: Duration = Duration::from_secs(300);

/// An estimate expires this long after the last response, plus its own length. By then decay would
/// make a slow endpoint look fast, and a burst would go there. Shorter than an ejection, so that an
/// endpoint returns from one as unknown.
const EXPIRES_SECONDS: f32 = 20.0;

/// Time without a pick after which an endpoint may get a call out of turn.
const UNPICKED: Duration = Duration::from_secs(3);

/// Ticks of 100 microseconds wrap after five days. A longer silence counts as a shorter one, which
/// does no harm.
const TICKS_PER_SECOND: u64 = 10_000;

/// Ticks by which an earlier clock reading may be ahead: ten seconds.
const SKEW: u32 = 100_000;

/// Outcome of a call, with regard to the endpoint's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Answered,
    /// The endpoint refused the call without doing the work. Counts as at least its last success,
    /// or before the first one as the median of its set: an endpoint that refuses at once must not
    /// look fast.
    Refused,
    /// The endpoint failed, however fast.
    Failed,
    /// The endpoint failed and announced for how long. A time shorter than that of any failure has
    /// no effect: an endpoint that fails fast must not look fast by announcing so.
    FailedFor(Duration),
    /// The caller stopped waiting: the response would have taken at least this long.
    Abandoned,
}

/// Load of one endpoint. Lives as long as the endpoint, over many sets.
#[derive(Debug)]
pub struct Load {
    epoch: Instant,
    /// Seconds to response headers as `f32` bits in the upper half, tick of the estimate in the
    /// lower; [`NEVER`] before the first response.
    estimate: AtomicU64,
    in_flight: AtomicU32,
    /// Tick of the last pick.
    picked: AtomicU32,
    /// True while the one call to an unknown endpoint is under way.
    trying: AtomicBool,
    /// Seconds of the last success as `f32` bits; 0 before the first.
    success: AtomicU32,
}

/// State of an endpoint at a moment.
pub(super) struct Known {
    /// Estimated time to response headers, in seconds.
    pub(super) seconds: Option<f32>,
    /// True if the last pick is at least [`UNPICKED`] ago.
    pub(super) forgotten: bool,
}

const NEVER: u64 = u64::MAX;

fn pack(seconds: f32, tick: u32) -> u64 {
    (u64::from(seconds.to_bits()) << 32) | u64::from(tick)
}

fn unpack(packed: u64) -> Option<(f32, u32)> {
    // Both halves are exactly 32 bits wide.
    (packed != NEVER).then(|| (f32::from_bits((packed >> 32) as u32), packed as u32))
}

impl Load {
    /// Creates the load of an unknown endpoint.
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            estimate: AtomicU64::new(NEVER),
            in_flight: AtomicU32::new(0),
            picked: AtomicU32::new(0),
            trying: AtomicBool::new(false),
            success: AtomicU32::new(0),
        }
    }

    /// Returns the number of calls in flight.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Returns the estimated time to response headers; `None` if it is unknown or expired.
    pub fn estimate(&self, now: Instant) -> Option<Duration> {
        self.seconds(now).map(Duration::from_secs_f32)
    }

    /// Makes the endpoint unknown again, because another process may serve its address from now on.
    /// Otherwise the failures of a crash would keep calls away from the restarted replica for a
    /// minute or more.
    pub fn forget(&self) {
        self.estimate.store(NEVER, Ordering::Relaxed);
        self.success.store(0, Ordering::Relaxed);
    }

    /// Returns true if the endpoint is unknown and its one call is under way.
    pub(super) fn is_on_trial(&self) -> bool {
        self.trying.load(Ordering::Relaxed)
    }

    /// Claims the one call of an unknown endpoint.
    pub(super) fn claim_trial(&self) -> bool {
        !self.is_on_trial() && !self.trying.swap(true, Ordering::Relaxed)
    }

    pub(super) fn trial_over(&self) {
        self.trying.store(false, Ordering::Relaxed);
    }

    /// Claims the one call of an endpoint that was not picked for long.
    pub(super) fn claim_forgotten(&self, now: Instant) -> bool {
        let (now, picked) = (self.tick(now), self.picked.load(Ordering::Relaxed));
        let swap = |from, to| {
            self.picked.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        is_long(elapsed(now, picked)) && swap(picked, now)
    }

    pub(super) fn seconds(&self, now: Instant) -> Option<f32> {
        self.look(now).seconds
    }

    pub(super) fn look(&self, now: Instant) -> Known {
        let now = self.tick(now);
        let estimate = unpack(self.estimate.load(Ordering::Relaxed));
        Known {
            seconds: estimate.and_then(|(seconds, tick)| decayed(seconds, elapsed(now, tick))),
            forgotten: is_long(elapsed(now, self.picked.load(Ordering::Relaxed))),
        }
    }

    pub(super) fn began(&self, now: Instant) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.picked.store(self.tick(now), Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Updates the estimate with a call. `unknown` is the assumed time of an unknown endpoint, in
    /// seconds.
    pub(super) fn observe(&self, now: Instant, took: Duration, outcome: Outcome, unknown: f32) {
        let took = match outcome {
            Outcome::Answered => {
                self.success.store(took.as_secs_f32().to_bits(), Ordering::Relaxed);
                took
            }
            Outcome::Refused => {
                let success = f32::from_bits(self.success.load(Ordering::Relaxed));
                let least = if success > 0.0 { success } else { unknown };
                took.max(Duration::from_secs_f32(least))
            }
            Outcome::Abandoned => took,
            Outcome::Failed => took.max(FAILURE),
            Outcome::FailedFor(hint) => took.max(hint.clamp(FAILURE, LONGEST_FAILURE)),
        };
        let (took, tick) = (took.as_secs_f32(), self.tick(now));
        // A lost race repeats with the value that the winner stored. The closure never gives up.
        let _ = self.estimate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let known = unpack(packed).and_then(|(old, at)| {
                let ticks = elapsed(tick, at);
                decayed(old, ticks).map(|left| (left, remaining(ticks)))
            });
            let estimate = match (known, outcome) {
                // The caller may have stopped early: the wait is evidence only if it exceeded the
                // expected time.
                (None, Outcome::Abandoned) if took < unknown => return None,
                (Some((left, _)), Outcome::Abandoned) if took < left => return None,
                (Some((left, kept)), _) if took < left => left + took * (1.0 - kept),
                (None | Some(_), _) => took,
            };
            Some(pack(estimate, tick))
        });
    }

    fn tick(&self, now: Instant) -> u32 {
        let since = now.saturating_duration_since(self.epoch);
        let ticks = since.as_secs() * TICKS_PER_SECOND + u64::from(since.subsec_micros() / 100);
        // Truncation is the wrap-around that every reader allows for.
        ticks as u32
    }
}

/// Returns the ticks from `then` to `now`. Two threads may read the clock in either order, so a
/// `then` that is slightly ahead counts as `now`.
fn elapsed(now: u32, then: u32) -> u32 {
    let ticks = now.wrapping_sub(then);
    if then.wrapping_sub(now) <= SKEW { 0 } else { ticks }
}

fn is_long(ticks: u32) -> bool {
    u64::from(ticks) >= UNPICKED.as_secs() * TICKS_PER_SECOND
}

/// Returns the remainder of an estimate after this many ticks; `None` if it has expired.
fn decayed(seconds: f32, ticks: u32) -> Option<f32> {
    (in_seconds(ticks) < EXPIRES_SECONDS + seconds).then(|| seconds * remaining(ticks))
}

/// Returns the share of an estimate that is left after this many ticks.
fn remaining(ticks: u32) -> f32 {
    (-in_seconds(ticks) / DECAY_SECONDS).exp()
}

fn in_seconds(ticks: u32) -> f32 {
    ticks as f32 / TICKS_PER_SECOND as f32
}
