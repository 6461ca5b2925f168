//! `gantry bench client`: the client's targets, each measured beside its baseline in the same run.

mod closed_loop;
mod ejected;
mod failing;
mod instructions;
mod joiner;
mod killed;
mod many;
mod outage;
mod pick;
mod restart;
mod slow;
mod throughput;
mod trio;

use clap::ValueEnum;

use super::{args::RunArgs, error::BenchError, row::Row, scenario};

/// Scenarios.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Calls per second and processor time per call, one endpoint
    Throughput,
    /// The same over a static list, on two worker threads
    ClosedLoop,
    /// Instructions per call, beside tonic's channel
    Instructions,
    /// The same with traces off, at 1 % and at 100 %
    Traces,
    /// Processor time per call, 1,000 endpoints
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

impl scenario::Scenario for Scenario {
    const BENCH: &'static str = "client";
    type Args = RunArgs;

    async fn measure(self, run: &RunArgs) -> Result<Vec<Row>, BenchError> {
        match self {
            Self::Throughput => throughput::measure(run).await,
            Self::ClosedLoop => closed_loop::measure(run).await,
            Self::Instructions => instructions::measure().await,
            Self::Traces => instructions::measure_traces().await,
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
