//! `gantry bench`: the suite's targets, each measured beside its baseline.
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
pub mod client;
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
pub mod server;
mod stats;
pub mod store;
mod traces;
mod up;
mod valgrind;

use std::io::{self, Write};

pub use args::{
    BenchArgs, CallsArgs, ClientArgs, Kind, PicksArgs, ReplicaArgs, RunArgs, ServerArgs, StoreArgs,
};
pub use callers::Through;
pub use error::BenchError;
pub use replica::{Behaviour, Served};
pub use traces::TraceArgs;

/// Runs a benchmark, or a process that a benchmark measures.
///
/// # Errors
/// [`BenchError`]
pub async fn run(args: &BenchArgs) -> Result<(), BenchError> {
    match &args.kind {
        Kind::Client(args) => scenario::run(&args.only, &args.run, &args.run).await,
        Kind::Server(args) => scenario::run(&args.only, &args.run, &args.run).await,
        Kind::Store(args) => scenario::run(&args.only, &args.run, args).await,
        Kind::Replica(args) => replica::serve(args).await,
        Kind::Picks(args) => {
            picks::run(args);
            Ok(())
        }
        Kind::Calls(args) => calls::run(args).await,
    }
}

/// Reports progress on standard error; standard output holds only the results.
fn progress(what: &str) {
    // A closed standard error is no failure.
    let _ = writeln!(io::stderr(), "{what}");
}
