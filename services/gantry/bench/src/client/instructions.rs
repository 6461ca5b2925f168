//! Instructions of a call through our whole channel and through tonic's, which do not depend on the
//! load of the machine: those of a process that made more calls, less those of one that made fewer.

use clap::ValueEnum;

use crate::{
    callers::Through,
    error::BenchError,
    replica::{Plan, Replica},
    row::Row,
    stats::Runs,
    traces,
    traces::TraceArgs,
    valgrind::{callgrind, collected, not_started},
};

const FEW: u64 = 1_000;
const MANY: u64 = 5_000;

pub(super) async fn measure() -> Result<Vec<Row>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, ..Plan::default() }).await?;
    let none = TraceArgs::default();
    let ours: Runs = [instructions(&server, Through::Ours, none).await?].into_iter().collect();
    let tonic: Runs = [instructions(&server, Through::Tonic, none).await?].into_iter().collect();
    Ok(vec![Row::new("client: instructions a call", "instructions", &ours).against(
        "tonic's channel",
        &ours,
        &tonic,
    )])
}

/// Measures the cost of traces.
pub(super) async fn measure_traces() -> Result<Vec<Row>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, ..Plan::default() }).await?;
    traces::measure("client", |traces| instructions(&server, Through::Ours, traces)).await
}

/// Counts the instructions of a call.
async fn instructions(
    server: &Replica,
    through: Through,
    traces: TraceArgs,
) -> Result<f64, BenchError> {
    let few = process(server, through, traces, FEW).await?;
    let many = process(server, through, traces, MANY).await?;
    Ok((many - few) / (MANY - FEW) as f64)
}

/// Counts the instructions of a process that makes this many calls.
async fn process(
    server: &Replica,
    through: Through,
    traces: TraceArgs,
    calls: u64,
) -> Result<f64, BenchError> {
    let program = std::env::current_exe().map_err(BenchError::Replica)?;
    let mut command = callgrind(&program, None);
    command.args(["calls", "--address", &server.address()?.to_string()]);
    command.args(["--calls", &calls.to_string()]);
    traces.add_to(&mut command);
    if let Some(through) = through.to_possible_value() {
        command.args(["--through", through.get_name()]);
    }
    collected(&command.output().await.map_err(not_started)?)
}
