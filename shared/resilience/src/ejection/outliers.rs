//! Which of several endpoints stand out, as gRFC A50 computes it.

use super::config::{FailurePercentage, SuccessRate};

/// The calls of an endpoint within one interval.
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
        // Asked only where there was a call; both numbers are exact.
        f64::from(self.successes) / self.total() as f64
    }
}

/// Positions of those whose success rate is too far below the mean, the worst first.
pub(super) fn by_success_rate(counts: &[Counts], rule: &SuccessRate) -> Vec<usize> {
    let judged = with_volume(counts, rule.request_volume, rule.minimum_hosts);
    let rates = judged.iter().map(|&index| counts[index].success_rate());
    let number = judged.len() as f64;
    let mean = rates.clone().sum::<f64>() / number;
    let variance = rates.map(|rate| (rate - mean).powi(2)).sum::<f64>() / number;
    let lowest = mean - variance.sqrt() * rule.stdev_factor;
    worst_first(counts, judged, |counts| counts.success_rate() < lowest)
}

/// Positions of those that fail too often, the worst first.
pub(super) fn by_failure_percentage(counts: &[Counts], rule: &FailurePercentage) -> Vec<usize> {
    let judged = with_volume(counts, rule.request_volume, rule.minimum_hosts);
    worst_first(counts, judged, |counts| {
        u64::from(counts.failures) * 100 > u64::from(rule.threshold) * counts.total()
    })
}

/// Positions of those with enough calls; none where there are too few such.
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
