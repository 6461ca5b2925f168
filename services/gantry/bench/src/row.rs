//! Rows of the report, one per measurement.

use std::fmt;

use serde::Serialize;

use super::stats::Runs;

/// Measurement with its baseline and its target.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Name of the measurement.
    pub(super) name: String,
    /// The median of the runs.
    pub(super) value: f64,
    /// Unit.
    pub(super) unit: &'static str,
    /// Baseline.
    pub(super) baseline: Option<Baseline>,
    /// Median of the ratios of value and baseline, run by run.
    pub(super) ratio: Option<f64>,
    /// Target.
    pub(super) target: Option<Target>,
    /// True if the target is met; `None` without a target.
    pub(super) pass: Option<bool>,
}

/// Baseline of a measurement.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Baseline {
    /// Name.
    pub(super) name: &'static str,
    /// Median of its runs, in the row's unit.
    pub(super) value: f64,
}

/// Target of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Target {
    /// Bound on the ratio to the baseline.
    Ratio(Bound),
    /// Bound on the value, in the row's unit.
    Value(Bound),
}

/// Bound of a target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Bound {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
            Self::Below(limit) => value < limit,
        }
    }
}

impl Row {
    /// Creates a row without a baseline.
    pub(super) fn new(name: impl Into<String>, unit: &'static str, runs: &Runs) -> Self {
        Self {
            name: name.into(),
            value: runs.median(),
            unit,
            baseline: None,
            ratio: None,
            target: None,
            pass: None,
        }
    }

    /// Adds a baseline whose runs were made side by side.
    pub(super) fn against(mut self, name: &'static str, ours: &Runs, theirs: &Runs) -> Self {
        self.baseline = Some(Baseline { name, value: theirs.median() });
        // A ratio to zero means nothing.
        self.ratio = Some(ours.ratio_to(theirs)).filter(|ratio| ratio.is_finite());
        self
    }

    /// Sets the target.
    pub(super) fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self.pass = Some(match target {
            Target::Ratio(bound) => self.ratio.is_some_and(|ratio| bound.holds(ratio)),
            Target::Value(bound) => bound.holds(self.value),
        });
        self
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bound, unit) = match self {
            Self::Ratio(bound) => (bound, "x"),
            Self::Value(bound) => (bound, ""),
        };
        match bound {
            Bound::AtLeast(least) => write!(f, ">= {least}{unit}"),
            Bound::AtMost(most) => write!(f, "<= {most}{unit}"),
            Bound::Below(limit) => write!(f, "< {limit}{unit}"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: f64, target: Target) -> Row {
        let (ours, theirs) = ([ours].into_iter().collect(), [theirs].into_iter().collect());
        Row::new("calls", "1/s", &ours).against("theirs", &ours, &theirs).target(target)
    }

    #[test]
    fn a_row_passes_where_the_bound_holds() {
        assert_eq!(row(130.0, 100.0, Target::Ratio(Bound::AtLeast(1.3))).pass, Some(true));
        assert_eq!(row(129.0, 100.0, Target::Ratio(Bound::AtLeast(1.3))).pass, Some(false));
        assert_eq!(row(1.0, 100.0, Target::Value(Bound::Below(1.0))).pass, Some(false));
        assert_eq!(row(0.0, 100.0, Target::Value(Bound::AtMost(0.0))).pass, Some(true));
    }

    #[test]
    fn nothing_measured_is_no_success() {
        assert_eq!(row(f64::NAN, 1.0, Target::Value(Bound::AtMost(9.0))).pass, Some(false));
        assert_eq!(row(1.0, 0.0, Target::Ratio(Bound::AtLeast(1.0))).pass, Some(false));
    }
}
