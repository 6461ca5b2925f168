//! `gantry bench server`: what the server stack promises, each with what it is compared with
//! in the same run.

mod cost;
mod instructions;
mod overload;
mod resources;
mod validation;

use clap::ValueEnum;

use super::{args::RunArgs, error::BenchError, row::Row, scenario};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// Calls a second and processor time a call, beside tonic's server
    Cost,
    /// Instructions a call, beside tonic's server
    Instructions,
    /// A typical request against its rules
    Validation,
    /// Five times as many calls as can be worked at
    Overload,
    /// Memory that one caller can make a server hold, and its effect on others
    Resources,
}

impl scenario::Scenario for Scenario {
    const BENCH: &'static str = "server";

    async fn measure(self, run: &RunArgs) -> Result<Vec<Row>, BenchError> {
        match self {
            Self::Cost => cost::measure(run).await,
            Self::Instructions => instructions::measure().await,
            Self::Validation => validation::measure(run),
            Self::Overload => overload::measure(run).await,
            Self::Resources => resources::measure(run).await,
        }
    }
}
