//! Flags of `gantry bench`.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use super::{callers::Through, client, replica::Served, server, store, traces::TraceArgs};

/// Command line of `gantry-bench`.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "gantry bench",
    version = gantry_telemetry::BUILD.summary,
    about = "Measures the client, the server and the storage beside their baselines"
)]
pub(crate) struct Bench {
    /// Kind of benchmark
    #[command(subcommand)]
    pub kind: Kind,
}

/// Kind of benchmark.
#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Kind {
    /// Measure the client beside a bare tonic channel: cost, sick replicas, outages, restarts
    Client(ClientArgs),
    /// Measure the server stack beside tonic's server: cost, validation, overload, attacks
    Server(ServerArgs),
    /// Measure the storage: calls through the whole stack beside their statements alone, on both engines
    Store(StoreArgs),
    /// Run a server that the benchmark starts and kills
    #[command(hide = true)]
    Replica(ReplicaArgs),
    /// Run the code that is counted under valgrind
    #[command(hide = true)]
    Picks(PicksArgs),
    /// Make the calls that are counted under valgrind
    #[command(hide = true)]
    Calls(CallsArgs),
}

/// Runs, durations and outputs.
#[derive(Clone, Debug, Args)]
pub(crate) struct RunArgs {
    /// Runs of each scenario; the table shows their median
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// Duration of a single throughput run, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub window_ms: u64,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Print the table as Markdown
    #[arg(long)]
    pub markdown: bool,
}

impl RunArgs {
    /// Returns the duration of a single run.
    pub(super) fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

/// Flags of `gantry bench client`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ClientArgs {
    /// Common flags.
    #[command(flatten)]
    pub run: RunArgs,
    /// Run only these scenarios; default: all
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub only: Vec<client::Scenario>,
}

/// Flags of `gantry bench server`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServerArgs {
    /// Common flags.
    #[command(flatten)]
    pub run: RunArgs,
    /// Run only these scenarios; default: all
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub only: Vec<server::Scenario>,
}

/// Flags of `gantry bench store`.
#[derive(Clone, Debug, Args)]
pub(crate) struct StoreArgs {
    /// Common flags.
    #[command(flatten)]
    pub run: RunArgs,
    /// Run only these scenarios; default: all
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub only: Vec<store::Scenario>,
    /// Number of stored orders that is compared with 1,000, and from which lists are read
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub stored: u32,
}

/// Flags of a replica.
#[derive(Clone, Debug, Args)]
pub(crate) struct ReplicaArgs {
    /// Number that it answers with
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub number: u32,
    /// Initial behaviour: `delay=5ms` or `fail`
    #[arg(long, default_value = "delay=0")]
    pub behaviour: super::replica::Behaviour,
    /// First port; 0 takes any free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// Number of ports that it listens on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ports: u32,
    /// Server stack
    #[arg(long, value_enum, default_value_t)]
    pub served: Served,
    /// Number of calls that the handler works on concurrently
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,
    /// Register at this Consul agent
    #[arg(long, value_name = "URL")]
    pub consul: Option<String>,
    /// Database of the users that it serves: a SQLite file, or a URL of PostgreSQL
    #[arg(long, value_name = "PATH|URL")]
    pub database: Option<String>,
    /// File that records the executions of non-idempotent calls
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
    /// Traces of the process.
    #[command(flatten)]
    pub traces: TraceArgs,
}

/// Flags of `gantry bench picks`.
#[derive(Clone, Debug, Args)]
pub(crate) struct PicksArgs {
    /// Number of endpoints
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub endpoints: usize,
    /// Number of picks
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub picks: usize,
}

/// Flags of `gantry bench calls`.
#[derive(Clone, Debug, Args)]
pub(crate) struct CallsArgs {
    /// Address of the server
    #[arg(long, value_name = "IP:PORT")]
    pub address: SocketAddr,
    /// Channel that makes the calls
    #[arg(long, value_enum)]
    pub through: Through,
    /// Number of calls
    #[arg(long, value_name = "N")]
    pub calls: u64,
    /// Traces of the process.
    #[command(flatten)]
    pub traces: TraceArgs,
}
