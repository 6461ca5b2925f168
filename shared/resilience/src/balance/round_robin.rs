//! One after the other, each as often as its weight says.

use std::sync::atomic::{AtomicU64, Ordering};

use fastrand::Rng;

use super::weights::Weights;

/// Whose turn it is: gRPC's static stride scheduler (gRFC A58), which needs nothing but
/// a counter. The heaviest member has its turn in every round, and a lighter one in as
/// many of them as its weight is of the heaviest.
#[derive(Debug)]
pub(super) struct Turns {
    count: usize,
    /// The share of the rounds that each takes part in, of [`EVERY`]; empty where
    /// all do in all.
    strides: Box<[u64]>,
    next: AtomicU64,
}

const EVERY: u64 = 1 << 16;

/// Never reached by counting.
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

    /// The next member that will do. Who will not loses the turn to the one after it,
    /// which does not get two of them: the turn goes on from there. Where none will
    /// the turn stays.
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
            // Lighter members wait for their round; where the heavy ones will not do that
            // could be long.
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

    /// Begins anywhere: else all clients would begin with the same member.
    fn begin(&self, rng: &mut Rng) {
        if self.next.load(Ordering::Relaxed) == NOT_BEGUN {
            let start = u64::from(rng.u32(..));
            // Where it fails another thread has begun.
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
