//! Cost of a call with one endpoint: the whole stack beside a bare tonic channel and bare hyper
//! connections.

use crate::{
    args::RunArgs,
    callers::{Bare, Ours, tonic_channel},
    contender::{Contender, compete},
    error::BenchError,
    replica::{Plan, Replica},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::Ratio,
    },
    stats::Runs,
};

/// Number of connections that our channel opens for this many callers.
const CONNECTIONS: usize = 4;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, ..Plan::default() }).await?;
    let address = server.address()?;
    let stack = Ours::new(&[address], Default::default()).await?;
    stack.connected(1).await?;
    let mut several = Vec::new();
    for _ in 0..CONNECTIONS {
        several.push(tonic_channel(address).await?);
    }
    let mut ours = Contender::new(vec![stack.client.clone()]);
    let mut one = Contender::new(vec![tonic_channel(address).await?]);
    let mut four = Contender::new(several);
    let mut hyper = Contender::new(vec![Bare::connect([address; CONNECTIONS]).await?]);
    compete(run, &mut [&mut ours, &mut one, &mut four, &mut hyper]).await?;

    const TONIC_ONE: &str = "tonic, 1 connection";
    const TONIC_FOUR: &str = "tonic, 4 connections";
    const HYPER_FOUR: &str = "hyper, 4 connections";
    let rate = |name, theirs: &Runs| {
        Row::new("1 endpoint: throughput", "calls/s", &ours.rate).against(name, &ours.rate, theirs)
    };
    let cpu = |name, theirs: &Runs| {
        Row::new("1 endpoint: client CPU a call", "us", &ours.cpu).against(name, &ours.cpu, theirs)
    };
    Ok(vec![
        rate(TONIC_ONE, &one.rate).target(Ratio(AtLeast(1.3))),
        rate(TONIC_FOUR, &four.rate).target(Ratio(AtLeast(1.0))),
        rate(HYPER_FOUR, &hyper.rate),
        cpu(TONIC_ONE, &one.cpu).target(Ratio(AtMost(0.85))),
        cpu(TONIC_FOUR, &four.cpu),
        cpu(HYPER_FOUR, &hyper.cpu).target(Ratio(AtMost(1.15))),
    ])
}
