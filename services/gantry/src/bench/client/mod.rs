//! `gantry bench client`: what RESILIENCE asks of the client, each with what it is compared
//! with in the same run.

mod contender;
mod ejected;
mod failing;
mod joiner;
mod killed;
mod many;
mod outage;
mod pick;
mod restart;
mod slow;
mod throughput;
mod trio;

use std::time::Instant;

use clap::ValueEnum;

use super::{
    args::{ClientArgs, RunArgs},
    error::BenchError,
    progress,
    report::Report,
    row::Row,
};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Calls a second and processor time a call, one endpoint
    Throughput,
    /// Processor time a call, 1,000 endpoints
    Many,
    /// Instructions of a pick among 10 and 1,000 endpoints
    Pick,
    /// One of three replicas is 100 ms slower
    Slow,
    /// One of three replicas fails fast
    Failing,
    /// One of three replicas is killed
    Killed,
    /// A replica joins
    Joiner,
    /// An ejected replica returns
    Ejected,
    /// All replicas fail, and recover
    Outage,
    /// Each of three replicas is restarted
    Restart,
}

impl Scenario {
    async fn measure(self, run: &RunArgs) -> Result<Vec<Row>, BenchError> {
        match self {
            Self::Throughput => throughput::measure(run).await,
            Self::Many => many::measure(run).await,
            Self::Pick => pick::measure().await,
            Self::Slow => slow::measure(run).await,
            Self::Failing => failing::measure(run).await,
            Self::Killed => killed::measure(run).await,
            Self::Joiner => joiner::measure(run).await,
            Self::Ejected => ejected::measure(run).await,
            Self::Outage => outage::measure(run).await,
            Self::Restart => restart::measure().await,
        }
    }
}

/// Measures and reports.
///
/// # Errors
/// [`BenchError`] where something could not be measured or written; the rest is reported.
pub(super) async fn run(args: &ClientArgs) -> Result<(), BenchError> {
    let started = Instant::now();
    let mut report = Report::new("client", &args.run);
    let chosen = |one: &&Scenario| args.only.is_empty() || args.only.contains(*one);
    for scenario in Scenario::value_variants().iter().filter(chosen) {
        let name = scenario.to_possible_value().map_or_else(String::new, |v| v.get_name().into());
        progress(&name);
        report.add(&name, scenario.measure(&args.run).await);
    }
    report.publish(started.elapsed(), &args.run)
}
