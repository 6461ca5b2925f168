//! What is known of one endpoint's load.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// How fast a peak is forgotten: after this time 37 % of it are left.
const DECAY_SECONDS: f32 = 10.0;

/// What a failure counts as: an endpoint that fails fast must not look fast.
const FAILURE: Duration = Duration::from_secs(5);

/// An endpoint that was not picked for so long may get a call out of turn.
const UNPICKED: Duration = Duration::from_secs(3);

/// Ticks of 100 microseconds tell 2.4 days apart; a longer silence counts as a
/// shorter one, which does no harm.
const TICK_MICROS: u128 = 100;

/// How a call ended, as far as the endpoint's load goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The endpoint answered.
    Answered,
    /// The endpoint failed, however fast.
    Failed,
    /// The caller stopped waiting: the answer would have taken at least so long.
    Abandoned,
}

/// The load of one endpoint. Lives as long as the endpoint, over many sets.
#[derive(Debug)]
pub struct Load {
    epoch: Instant,
    /// Seconds to headers as `f32` bits above, the tick of the estimate below;
    /// [`UNKNOWN`] before the first answer.
    estimate: AtomicU64,
    in_flight: AtomicU32,
    /// The tick of the last pick.
    picked: AtomicU32,
    /// Whether the one call to an unknown endpoint is under way.
    trying: AtomicBool,
}

const UNKNOWN: u64 = u64::MAX;

fn pack(seconds: f32, tick: u32) -> u64 {
    (u64::from(seconds.to_bits()) << 32) | u64::from(tick)
}

fn unpack(packed: u64) -> Option<(f32, u32)> {
    // Both halves are exactly 32 bits wide.
    (packed != UNKNOWN).then(|| (f32::from_bits((packed >> 32) as u32), packed as u32))
}

impl Load {
    /// The load of an endpoint that nothing is known of.
    pub fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            estimate: AtomicU64::new(UNKNOWN),
            in_flight: AtomicU32::new(0),
            picked: AtomicU32::new(0),
            trying: AtomicBool::new(false),
        }
    }

    /// The calls sent and not ended.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The estimated time to response headers; `None` before the first answer.
    pub fn estimate(&self, now: Instant) -> Option<Duration> {
        self.seconds(now).map(Duration::from_secs_f32)
    }

    pub(super) fn is_unknown(&self) -> bool {
        self.estimate.load(Ordering::Relaxed) == UNKNOWN
    }

    /// Whether the endpoint is unknown and its one call is under way.
    pub(super) fn is_on_trial(&self) -> bool {
        self.is_unknown() && self.trying.load(Ordering::Relaxed)
    }

    /// Takes the one call an unknown endpoint gets.
    pub(super) fn claim_trial(&self) -> bool {
        self.is_unknown() && !self.trying.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_forgotten(&self, now: Instant) -> bool {
        let idle = elapsed(self.tick(now), self.picked.load(Ordering::Relaxed));
        u128::from(idle) * TICK_MICROS >= UNPICKED.as_micros()
    }

    /// Estimated seconds, times the calls in flight with the next one.
    pub(super) fn cost(&self, now: Instant, unknown: f32) -> f32 {
        self.seconds(now).unwrap_or(unknown) * (self.in_flight() as f32 + 1.0)
    }

    pub(super) fn seconds(&self, now: Instant) -> Option<f32> {
        let (seconds, tick) = unpack(self.estimate.load(Ordering::Relaxed))?;
        Some(seconds * remaining(elapsed(self.tick(now), tick)))
    }

    pub(super) fn began(&self, now: Instant) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.picked.store(self.tick(now), Ordering::Relaxed);
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn trial_over(&self) {
        self.trying.store(false, Ordering::Relaxed);
    }

    pub(super) fn observe(&self, now: Instant, took: Duration, outcome: Outcome) {
        let took = match outcome {
            Outcome::Answered | Outcome::Abandoned => took,
            Outcome::Failed => took.max(FAILURE),
        };
        let (took, tick) = (took.as_secs_f32(), self.tick(now));
        // A lost race repeats with what the winner stored; the closure never gives up.
        let _ = self.estimate.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let estimate = match unpack(packed) {
                None if outcome == Outcome::Abandoned => return None,
                None => took,
                Some((old, at)) => {
                    let kept = remaining(elapsed(tick, at));
                    match outcome {
                        _ if took >= old * kept => took,
                        Outcome::Abandoned => return None,
                        Outcome::Answered | Outcome::Failed => old * kept + took * (1.0 - kept),
                    }
                }
            };
            Some(pack(estimate, tick))
        });
    }

    fn tick(&self, now: Instant) -> u32 {
        // Truncation is the wrap-around that every reader allows for.
        (now.saturating_duration_since(self.epoch).as_micros() / TICK_MICROS) as u32
    }
}

/// The ticks from `then` to `now`. Threads that read the clock at about the same time may
/// come in either order: a `then` that lies ahead is no time at all.
fn elapsed(now: u32, then: u32) -> u32 {
    let ticks = now.wrapping_sub(then);
    if ticks > u32::MAX / 2 { 0 } else { ticks }
}

/// The share of an estimate that is left after so many ticks.
fn remaining(ticks: u32) -> f32 {
    (-(ticks as f32) * (TICK_MICROS as f32 / 1e6) / DECAY_SECONDS).exp()
}
