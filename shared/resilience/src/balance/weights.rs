//! Draws in proportion to weights, in constant time.

use fastrand::Rng;

/// Number of random draws for a usable member before all members are searched.
const DRAWS: usize = 4;

/// Weights of a set.
#[derive(Debug)]
pub(super) struct Weights {
    count: usize,
    /// `None` if all weights are equal.
    unequal: Option<Unequal>,
}

#[derive(Debug)]
struct Unequal {
    weights: Box<[u32]>,
    /// Each weight divided by the mean.
    shares: Box<[f32]>,
    /// Walker's alias method: column `n` stands for `n` with the given probability, otherwise for
    /// another member.
    columns: Box<[(f32, usize)]>,
}

impl Weights {
    /// A weight of 0 counts as 1: the registry removes members, the balancer does not.
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Box<[u32]> = weights.into_iter().map(|weight| weight.max(1)).collect();
        let count = weights.len();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self { count, unequal: (!equal).then(|| Unequal::new(weights)) }
    }

    /// Returns a member's weight divided by the mean: 1 if all weights are equal.
    pub(super) fn share(&self, index: usize) -> f32 {
        self.unequal.as_ref().map_or(1.0, |unequal| unequal.shares[index])
    }

    /// Returns the weights if they differ.
    pub(super) fn unequal(&self) -> Option<&[u32]> {
        self.unequal.as_ref().map(|unequal| &*unequal.weights)
    }

    /// Draws a usable member other than `taken`. An unusable member is drawn again, so that its
    /// neighbour does not get its share; after [`DRAWS`] the next usable one is taken.
    pub(super) fn draw(
        &self,
        rng: &mut Rng,
        taken: Option<usize>,
        will_do: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.count <= usize::from(taken.is_some()) {
            return None;
        }
        let will_do = |&index: &usize| Some(index) != taken && will_do(index);
        for _ in 0..DRAWS {
            let index = self.draw_one(rng, taken);
            if will_do(&index) {
                return Some(index);
            }
        }
        let start = rng.usize(..self.count);
        (start..self.count).chain(0..start).find(will_do)
    }

    /// Requires a member other than `taken`.
    fn draw_one(&self, rng: &mut Rng, taken: Option<usize>) -> usize {
        match (&self.unequal, taken) {
            (None, None) => rng.usize(..self.count),
            (None, Some(taken)) => {
                let index = rng.usize(..self.count - 1);
                index + usize::from(index >= taken)
            }
            (Some(unequal), _) => {
                let index = rng.usize(..self.count);
                let (probability, other) = unequal.columns[index];
                if rng.f32() < probability { index } else { other }
            }
        }
    }
}

impl Unequal {
    fn new(weights: Box<[u32]>) -> Self {
        let mean =
            weights.iter().map(|&weight| f64::from(weight)).sum::<f64>() / weights.len() as f64;
        let mut left: Vec<f64> = weights.iter().map(|&weight| f64::from(weight) / mean).collect();
        let shares = left.iter().map(|&share| share as f32).collect();
        // Each column is filled up to 1 by a member that has more than 1.
        let mut columns: Box<[(f32, usize)]> = (0..left.len()).map(|index| (1.0, index)).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..left.len()).partition(|&index| left[index] < 1.0);
        while let (Some(less), Some(&more)) = (small.pop(), large.last()) {
            columns[less] = (left[less] as f32, more);
            left[more] -= 1.0 - left[less];
            if left[more] < 1.0 {
                large.pop();
                small.push(more);
            }
        }
        Self { weights, shares, columns }
    }
}
