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
    /// which does not get two of them: the turn goes on from there.
    pub(super) fn next(&self, rng: &mut Rng, will_do: impl Fn(usize) -> bool) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        self.begin(rng);
        let count = self.count as u64;
        // Lighter members wait for their round; where the heavy ones will not do that
        // could be long.
        for _ in 0..2 * self.count {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            // Below `count`, which is a usize.
            let index = (turn % count) as usize;
            if self.takes_part(index, turn / count) && will_do(index) {
                return Some(index);
            }
        }
        let start = (self.next.fetch_add(1, Ordering::Relaxed) % count) as usize;
        (start..self.count).chain(0..start).find(|&index| will_do(index))
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

    fn takes_part(&self, index: usize, round: u64) -> bool {
        // Members of one weight take part in different rounds.
        self.strides.get(index).is_none_or(|&stride| {
            let at = stride.wrapping_mul(round).wrapping_add(index as u64 * (EVERY / 2));
            at % EVERY >= EVERY - stride
        })
    }
}
