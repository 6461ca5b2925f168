//! The flags of `gantry bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{client, replica::Served, server};

/// What to measure.
#[derive(Clone, Debug, Args)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub what: What,
}

/// What to measure.
#[derive(Clone, Debug, Subcommand)]
pub enum What {
    /// The client beside a bare tonic channel: cost, sick replicas, outages, restarts
    Client(ClientArgs),
    /// The server stack beside tonic's server: cost, validation, overload; and under attack
    Server(ServerArgs),
    /// A server that the benchmark starts and kills
    #[command(hide = true)]
    Replica(ReplicaArgs),
    /// What is counted under valgrind
    #[command(hide = true)]
    Picks(PicksArgs),
}

/// How to measure, and where the results go.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// How often each is run; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,
    /// How long a single run of calls one after the other takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    pub window_ms: u64,
    /// Written, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Print the table as Markdown
    #[arg(long)]
    pub markdown: bool,
}

impl RunArgs {
    /// How long a single run takes.
    pub(super) fn window(&self) -> Duration {
        Duration::from_millis(self.window_ms)
    }
}

/// What to measure of the client.
#[derive(Clone, Debug, Args)]
pub struct ClientArgs {
    /// How.
    #[command(flatten)]
    pub run: RunArgs,
    /// Only these; otherwise all of them
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub only: Vec<client::Scenario>,
}

/// What to measure of the server.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// How.
    #[command(flatten)]
    pub run: RunArgs,
    /// Only these; otherwise all of them
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_enum)]
    pub only: Vec<server::Scenario>,
}

/// What a replica is like.
#[derive(Clone, Debug, Args)]
pub struct ReplicaArgs {
    /// What it answers with
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub number: u32,
    /// How it behaves at first, as `delay=5ms` or `fail`
    #[arg(long, default_value = "delay=0")]
    pub behaviour: super::replica::Behaviour,
    /// The first port; any where it is 0
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub port: u16,
    /// How many ports it listens on
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub ports: u32,
    /// What it serves with
    #[arg(long, value_enum, default_value_t)]
    pub served: Served,
    /// How many calls the handler works at at once
    #[arg(long, value_name = "N")]
    pub slots: Option<u32>,
    /// Be found at this Consul agent
    #[arg(long, value_name = "URL")]
    pub consul: Option<String>,
    /// Where executions of what must not be repeated are written down
    #[arg(long, value_name = "FILE")]
    pub journal: Option<PathBuf>,
}

/// What to pick.
#[derive(Clone, Debug, Args)]
pub struct PicksArgs {
    /// Of how many
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub endpoints: usize,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub picks: usize,
}
