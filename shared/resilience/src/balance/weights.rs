//! Draws in proportion to weights, in constant time.

use fastrand::Rng;

/// How many draws are made for a member that will do before all are looked through.
const DRAWS: usize = 4;

/// The weights of a set.
#[derive(Debug)]
pub(super) struct Weights {
    count: usize,
    /// `None` where all weigh the same.
    unequal: Option<Unequal>,
}

#[derive(Debug)]
struct Unequal {
    weights: Box<[u32]>,
    /// Each weight over the mean.
    shares: Box<[f32]>,
    /// Walker's alias method: column `n` is `n` with the given probability, and else
    /// another member.
    columns: Box<[(f32, usize)]>,
}

impl Weights {
    /// A weight of 0 counts as 1: it is for the registry to leave members out.
    pub(super) fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let weights: Box<[u32]> = weights.into_iter().map(|weight| weight.max(1)).collect();
        let count = weights.len();
        let equal = weights.windows(2).all(|pair| pair[0] == pair[1]);
        Self { count, unequal: (!equal).then(|| Unequal::new(weights)) }
    }

    /// A member's weight over the mean: 1 where all weigh the same.
    pub(super) fn share(&self, index: usize) -> f32 {
        self.unequal.as_ref().map_or(1.0, |unequal| unequal.shares[index])
    }

    /// The weights, where they differ.
    pub(super) fn unequal(&self) -> Option<&[u32]> {
        self.unequal.as_ref().map(|unequal| &*unequal.weights)
    }

    /// Draws a member other than `taken` that will do. What will not do is drawn again,
    /// so that its neighbour does not get its share; but not for ever.
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

    /// The caller has seen that there is a member other than `taken`.
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
        // Each column is filled up to 1 by a member that has more than that.
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
