//! Sequence of scenarios.

use std::time::Instant;

use clap::ValueEnum;

use super::{args::RunArgs, error::BenchError, progress, report::Report, row::Row};

/// Scenario of a benchmark.
pub(super) trait Scenario: ValueEnum + PartialEq + 'static {
    /// Name of the benchmark.
    const BENCH: &'static str;

    /// Flags of the benchmark.
    type Args;

    /// Measures the scenario, bounded in time.
    async fn measure(self, args: &Self::Args) -> Result<Vec<Row>, BenchError>;
}

/// Measures the selected scenarios, or all, with the flags `args`, and reports.
///
/// # Errors
/// [`BenchError`] if something could not be measured or written; the rest is reported.
pub(super) async fn run<S: Scenario>(
    only: &[S],
    run: &RunArgs,
    args: &S::Args,
) -> Result<(), BenchError> {
    let started = Instant::now();
    let mut report = Report::new(S::BENCH, run);
    let chosen = |one: &&S| only.is_empty() || only.contains(*one);
    for scenario in S::value_variants().iter().filter(chosen) {
        let name = scenario.to_possible_value().map_or_else(String::new, |v| v.get_name().into());
        progress(&name);
        report.add(&name, scenario.clone().measure(args).await);
    }
    report.publish(started.elapsed(), run)
}
