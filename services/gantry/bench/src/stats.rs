//! Medians, and ratios of runs made side by side.

use std::time::Duration;

/// Values of the runs, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs(Vec<f64>);

impl Runs {
    /// Adds a run.
    pub(super) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// Returns the median; NaN without runs.
    pub(super) fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// Returns the median of the ratios, run by run: runs made side by side met the same disturbances.
    pub(super) fn ratio_to(&self, baseline: &Self) -> f64 {
        median(self.0.iter().zip(&baseline.0).map(|(ours, theirs)| ours / theirs).collect())
    }
}

impl FromIterator<f64> for Runs {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

/// Returns a percentile in milliseconds; NaN without values.
pub(super) fn percentile(mut values: Vec<Duration>, percent: f64) -> f64 {
    values.sort_unstable();
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    match values.get(rank.saturating_sub(1)) {
        Some(value) => value.as_secs_f64() * 1e3,
        None => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Runs {
        values.iter().copied().collect()
    }

    #[test]
    fn the_median_is_the_middle_value_or_the_mean_of_two() {
        assert_eq!(runs(&[9.0, 1.0, 5.0]).median(), 5.0);
        assert_eq!(runs(&[9.0, 1.0, 5.0, 6.0]).median(), 5.5);
        assert!(runs(&[]).median().is_nan());
    }

    #[test]
    fn a_ratio_compares_neighbouring_runs() {
        let (ours, theirs) = (runs(&[10.0, 2.0, 11.0]), runs(&[5.0, 1.0, 5.5]));
        assert_eq!(ours.ratio_to(&theirs), 2.0);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<_> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(values.clone(), 99.0), 198.0);
        assert_eq!(percentile(values, 100.0), 200.0);
        assert_eq!(percentile(vec![Duration::from_millis(3)], 99.0), 3.0);
        assert!(percentile(Vec::new(), 50.0).is_nan());
    }
}
