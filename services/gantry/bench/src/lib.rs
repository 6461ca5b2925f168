//! `gantry-bench`, which `gantry bench` runs: the suite's targets, each measured beside its baseline.
//!
//! Contenders take turns within a run. A disturbance of the machine then hits neighbours alike, and
//! the median ratio of neighbours counts. Servers are processes of their own (`replica`), so the
//! processor time of this process is the client's.
//!
//! - `args`: flags.
//! - `callers`, `calls`, `load`: clients under test, and the calls they make.
//! - `client`, `server`, `store`: one file per scenario.
//! - `up`: the suite as a process.
//! - `contender`, `scenario`: turns of contenders, and the sequence of scenarios.
//! - `valgrind`, `traces`: counted instructions instead of time, without and with traces.
//! - `stats`, `row`, `report`: medians, rows and tables.

mod args;
mod callers;
mod calls;
mod client;
mod consul;
mod contender;
mod contract;
mod cpu;
mod error;
mod load;
mod picks;
mod replica;
mod report;
mod row;
mod scenario;
mod server;
mod stats;
mod store;
mod traces;
mod up;
mod valgrind;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use self::{
    args::{Bench, Kind},
    error::BenchError,
};

/// Runs the benchmark of the process's command line.
#[tokio::main]
pub async fn execute() -> ExitCode {
    match run(Bench::parse().kind).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            gantry_config::complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Runs a benchmark, or a process that a benchmark measures.
async fn run(kind: Kind) -> Result<(), BenchError> {
    match kind {
        Kind::Client(args) => scenario::run(&args.only, &args.run, &args.run).await,
        Kind::Server(args) => scenario::run(&args.only, &args.run, &args.run).await,
        Kind::Store(args) => scenario::run(&args.only, &args.run, &args).await,
        Kind::Replica(args) => replica::serve(&args).await,
        Kind::Picks(args) => {
            picks::run(&args);
            Ok(())
        }
        Kind::Calls(args) => calls::run(&args).await,
    }
}

/// Reports progress on standard error; standard output holds only the results.
fn progress(what: &str) {
    // A closed standard error is no failure.
    let _ = writeln!(io::stderr(), "{what}");
}
