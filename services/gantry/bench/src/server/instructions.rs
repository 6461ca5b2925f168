//! Instructions per call of our server stack beside tonic's server. Unlike times, they do not depend on
//! the load of the machine. Each is the difference between two processes that serve more and fewer calls.

use tokio::task::JoinSet;

use crate::{
    callers::{Bare, Caller, Method},
    error::BenchError,
    replica::{Plan, Replica, Served},
    row::Row,
    stats::Runs,
    traces,
    traces::TraceArgs,
};

/// Multiples of [`AT_ONCE`].
const FEW: u64 = 1_600;
const MANY: u64 = 6_400;

/// Concurrent calls on one connection.
const AT_ONCE: u64 = 16;

pub(super) async fn measure() -> Result<Vec<Row>, BenchError> {
    let none = TraceArgs::default();
    let ours: Runs = [instructions(Served::Ours, none).await?].into_iter().collect();
    let tonic: Runs = [instructions(Served::Tonic, none).await?].into_iter().collect();
    Ok(vec![Row::new("server stack: instructions a call", "instructions", &ours).against(
        "tonic's server",
        &ours,
        &tonic,
    )])
}

/// Measures the cost of traces.
pub(super) async fn measure_traces() -> Result<Vec<Row>, BenchError> {
    traces::measure("server stack", |traces| instructions(Served::Ours, traces)).await
}

/// Returns the instructions of a call.
async fn instructions(served: Served, traces: TraceArgs) -> Result<f64, BenchError> {
    let (few, many) =
        tokio::try_join!(process(served, traces, FEW), process(served, traces, MANY))?;
    Ok((many - few) / (MANY - FEW) as f64)
}

/// Returns the instructions of a process that serves a number of calls.
async fn process(served: Served, traces: TraceArgs, calls: u64) -> Result<f64, BenchError> {
    let plan = Plan { ports: 1, served, counted: true, traces, ..Plan::default() };
    let server = Replica::start(&plan).await?;
    let caller = Bare::connect([server.address()?]).await?;
    for first in (0..calls).step_by(AT_ONCE as usize) {
        let mut turn = JoinSet::new();
        for call in first..first + AT_ONCE {
            let mut caller = caller.clone();
            turn.spawn(async move { caller.call(Method::Read, call).await });
        }
        for answer in turn.join_all().await {
            answer?;
        }
    }
    server.instructions().await
}
