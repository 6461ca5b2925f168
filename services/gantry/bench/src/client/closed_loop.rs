//! Closed loop of 64 callers on two worker threads: our channel over a static list of one endpoint,
//! beside tonic's.

use tokio::{runtime, task::spawn_blocking};

use crate::{
    args::RunArgs,
    callers::{Ours, tonic_channel},
    contender::{Contender, compete},
    error::BenchError,
    replica::{Plan, Replica},
    row::Row,
    stats::Runs,
};

/// Worker threads of the client.
const WORKERS: usize = 2;

/// Number of connections that our channel opens for this many callers.
const CONNECTIONS: usize = 4;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let run = run.clone();
    // A runtime of its own: this process has a worker for each processor.
    let measured = spawn_blocking(move || {
        let runtime =
            runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
        runtime.map_err(BenchError::Replica)?.block_on(on_workers(&run))
    });
    measured.await.map_err(|panic| BenchError::Replica(panic.into()))?
}

async fn on_workers(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, ..Plan::default() }).await?;
    let address = server.address()?;
    let stack = Ours::listed(address, CONNECTIONS)?;
    stack.connected(1).await?;
    let mut several = Vec::new();
    for _ in 0..CONNECTIONS {
        several.push(tonic_channel(address).await?);
    }
    let mut ours = Contender::new(vec![stack.client.clone()]);
    let mut one = Contender::new(vec![tonic_channel(address).await?]);
    let mut four = Contender::new(several);
    compete(run, &mut [&mut ours, &mut one, &mut four]).await?;

    let rate = |name, theirs: &Runs| {
        Row::new("closed loop, static list, 2 workers: throughput", "calls/s", &ours.rate)
            .against(name, &ours.rate, theirs)
    };
    let cpu = Row::new("closed loop, static list, 2 workers: client CPU a call", "us", &ours.cpu);
    Ok(vec![
        rate("tonic, 1 connection", &one.rate),
        rate("tonic, 4 connections", &four.rate),
        cpu.against("tonic, 1 connection", &ours.cpu, &one.cpu),
    ])
}
