//! `gantry bench server`: targets of the server stack, each measured beside an alternative in the same run.

mod cost;
mod instructions;
mod overload;
mod resources;
mod validation;

use clap::ValueEnum;

use super::{args::RunArgs, error::BenchError, row::Row, scenario};

/// Scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Calls per second and processor time per call, beside tonic's server
    Cost,
    /// Instructions per call, beside tonic's server
    Instructions,
    /// The same with traces off, at 1 % and at 100 %
    Traces,
    /// Validation of a typical request
    Validation,
    /// Five times as many calls as the server can handle
    Overload,
    /// Memory that one caller can make a server hold, and its effect on others
    Resources,
}

impl scenario::Scenario for Scenario {
    const BENCH: &'static str = "server";
    type Args = RunArgs;

    async fn measure(self, run: &RunArgs) -> Result<Vec<Row>, BenchError> {
        match self {
            Self::Cost => cost::measure(run).await,
            Self::Instructions => instructions::measure().await,
            Self::Traces => instructions::measure_traces().await,
            Self::Validation => validation::measure(run),
            Self::Overload => overload::measure(run).await,
            Self::Resources => resources::measure(run).await,
        }
    }
}
