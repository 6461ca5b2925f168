//! `gantry bench`: the numbers that the suite promises, measured beside what they are
//! compared with.
//!
//! Contenders take turns in one run, because machines have moods: what disturbs one
//! disturbs its neighbour, and the ratio of neighbours counts, the median of them all.
//! Servers are processes of their own (`replica`), so that the processor time of this
//! one is the client's.
//!
//! - `args`: the flags;
//! - `callers`, `load`: who calls, and how much;
//! - `client`, `server`: one file for each thing that is measured;
//! - `contender`, `scenario`: how they take turns, and one follows the other;
//! - `valgrind`: where instructions are counted instead of time;
//! - `stats`, `row`, `report`: what is made of it.

mod args;
mod callers;
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
mod valgrind;

use std::io::{self, Write};

pub use args::{BenchArgs, ClientArgs, PicksArgs, ReplicaArgs, RunArgs, ServerArgs, What};
pub use error::BenchError;
pub use replica::{Behaviour, Served};

/// Measures, or is what is measured.
///
/// # Errors
/// [`BenchError`]
pub async fn run(args: &BenchArgs) -> Result<(), BenchError> {
    match &args.what {
        What::Client(args) => scenario::run(&args.only, &args.run).await,
        What::Server(args) => scenario::run(&args.only, &args.run).await,
        What::Replica(args) => replica::serve(args).await,
        What::Picks(args) => {
            picks::run(args);
            Ok(())
        }
    }
}

/// Says what is being done; the results have the standard output to themselves.
fn progress(what: &str) {
    // Nobody has to read it.
    let _ = writeln!(io::stderr(), "{what}");
}
