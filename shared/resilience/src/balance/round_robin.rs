//! One after the other, each as often as its weight says.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use super::weights::Weights;

/// Turns of the members: gRPC's static stride scheduler (gRFC A58), which needs only a counter. The
/// heaviest member takes part in every round, a lighter one in a share of the rounds: its weight
/// divided by the greatest.
#[derive(Debug)]
pub(super) struct Turns {
    count: usize,
    /// Share of the rounds that each member takes part in, out of [`EVERY`]; empty if all take part
    /// in every round.
    strides: Box<[u64]>,
    next: AtomicU64,
}

const EVERY: u64 = 1 << 16;

/// Initial value, never reached by counting.
const NOT_BEGUN: u64 = u64::MAX;

impl Turns {
    pub(super) fn new(count: usize, weights: &Weights) -> Self {
        let strides = weights.unequal().map_or_else(Box::default, |weights| {
            let greatest = weights.iter().copied().max().map_or(1, u64::from);
            let stride = |&weight| (u64::from(weight) * EVERY / greatest).max(1);
            weights.iter().map(stride).collect()
        });
        Self { count, strides, next: AtomicU64::new(NOT_BEGUN) }
    }

    /// Returns the next usable member. An unusable member loses its turn to the one after it, which
    /// does not get a second turn: the next search starts after it. If no member is usable, the
    /// turn stays.
    pub(super) fn next(&self, rng: &mut Rng, will_do: impl Fn(usize) -> bool) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        self.begin(rng);
        // The remainder is below `count`, which is a usize.
        let member = |turn: u64| (turn % self.count as u64) as usize;
        loop {
            let turn = self.next.load(Ordering::Relaxed);
            let turns = turn..turn + 2 * self.count as u64;
            // Lighter members wait for their round, which may be long if the heavy ones are
            // unusable.
            let taken = turns
                .clone()
                .find(|&turn| self.takes_part(turn) && will_do(member(turn)))
                .or_else(|| turns.clone().find(|&turn| will_do(member(turn))))?;
            let swap = self.next.compare_exchange_weak(
                turn,
                taken + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if swap.is_ok() {
                return Some(member(taken));
            }
        }
    }

    /// Starts at a random member, so that clients do not all start with the same one.
    fn begin(&self, rng: &mut Rng) {
        if self.next.load(Ordering::Relaxed) == NOT_BEGUN {
            let start = u64::from(rng.u32(..));
            // If it fails, another thread has started.
            let _ =
                self.next.compare_exchange(NOT_BEGUN, start, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn takes_part(&self, turn: u64) -> bool {
        let (index, round) = (turn % self.count as u64, turn / self.count as u64);
        // Members of one weight take part in different rounds. Empty or a usize long.
        self.strides.get(index as usize).is_none_or(|&stride| {
            let at = stride.wrapping_mul(round).wrapping_add(index * (EVERY / 2));
            at % EVERY >= EVERY - stride
        })
    }
}
