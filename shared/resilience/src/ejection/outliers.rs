//! Outliers among several endpoints, as gRFC A50 computes them.

use super::config::{FailurePercentage, SuccessRate};

/// Calls of an endpoint within one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) successes: u32,
    pub(super) failures: u32,
}

impl Counts {
    fn total(self) -> u64 {
        u64::from(self.successes) + u64::from(self.failures)
    }

    fn success_rate(self) -> f64 {
        // Called only if there was a call. Both numbers are exact.
        f64::from(self.successes) / self.total() as f64
    }
}

/// Responses of several endpoints within some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) done: u64,
    pub(super) refused: u64,
}

impl Answers {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { done: self.done + other.done, refused: self.refused + other.refused }
    }

    pub(super) fn since(self, earlier: Self) -> Self {
        Self {
            done: self.done.saturating_sub(earlier.done),
            refused: self.refused.saturating_sub(earlier.refused),
        }
    }
}

/// Returns true if this many consecutive refusals are the endpoint's own fault, given the others'
/// responses meanwhile: if calls were refused everywhere alike, such a run would have a probability
/// below one in a billion. With few responses the others' rate is assumed to be high (Laplace's
/// rule of succession); with fewer than [`ENOUGH`] the result is false.
pub(super) fn refuses_alone(run: u32, others: Answers) -> bool {
    /// Minimum number of successful responses of the others.
    const ENOUGH: u64 = 5;
    const COINCIDENCE: f64 = 1e-9;
    let Answers { done, refused } = others;
    let rate = (refused as f64 + 1.0) / ((done + refused) as f64 + 2.0);
    // A run that long was compared many times before.
    let run = i32::try_from(run).unwrap_or(i32::MAX);
    done >= ENOUGH && rate.powi(run) < COINCIDENCE
}

/// Returns the indices of the endpoints with a success rate too far below the mean, the worst
/// first.
pub(super) fn by_success_rate(counts: &[Counts], rule: &SuccessRate) -> Vec<usize> {
    let judged = with_volume(counts, rule.request_volume, rule.minimum_hosts);
    let rates = judged.iter().map(|&index| counts[index].success_rate());
    let number = judged.len() as f64;
    let mean = rates.clone().sum::<f64>() / number;
    let variance = rates.map(|rate| (rate - mean).powi(2)).sum::<f64>() / number;
    let lowest = mean - variance.sqrt() * rule.stdev_factor;
    worst_first(counts, judged, |counts| counts.success_rate() < lowest)
}

/// Returns the indices of the endpoints that fail too often, the worst first.
pub(super) fn by_failure_percentage(counts: &[Counts], rule: &FailurePercentage) -> Vec<usize> {
    let judged = with_volume(counts, rule.request_volume, rule.minimum_hosts);
    worst_first(counts, judged, |counts| {
        u64::from(counts.failures) * 100 > u64::from(rule.threshold) * counts.total()
    })
}

/// Returns the indices of the endpoints with enough calls; none if there are too few of them.
fn with_volume(counts: &[Counts], volume: u32, hosts: u32) -> Vec<usize> {
    let enough = |index: &usize| counts[*index].total() >= u64::from(volume);
    let judged: Vec<usize> = (0..counts.len()).filter(enough).collect();
    if judged.len() < hosts as usize { Vec::new() } else { judged }
}

fn worst_first(
    counts: &[Counts],
    mut judged: Vec<usize>,
    is_outlier: impl Fn(Counts) -> bool,
) -> Vec<usize> {
    judged.retain(|&index| is_outlier(counts[index]));
    let rate = |index: &usize| counts[*index].success_rate();
    judged.sort_by(|one, other| rate(one).total_cmp(&rate(other)));
    judged
}
