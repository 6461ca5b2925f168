//! What a call costs with one endpoint: the whole stack beside a bare channel of tonic's
//! and bare connections of hyper's.

use std::slice::from_ref;

use crate::bench::{
    args::RunArgs,
    callers::{Bare, Ours, tonic_channel},
    error::BenchError,
    load::{Cost, cost},
    progress,
    replica::{Plan, Replica},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::Ratio,
    },
    stats::Runs,
};

const CALLERS: usize = 64;

/// As many as our channel opens for so many callers.
const CONNECTIONS: usize = 4;

/// The runs of one contender.
#[derive(Default)]
struct Contender {
    rate: Runs,
    cpu: Runs,
}

impl Contender {
    fn add(&mut self, cost: Cost) {
        self.rate.push(cost.rate);
        self.cpu.push(cost.cpu);
    }
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, ..Plan::default() }).await?;
    let address = server.address()?;
    let stack = Ours::new(&[address], Default::default()).await?;
    stack.connected().await?;
    let single = tonic_channel(address).await?;
    let mut several = Vec::new();
    for _ in 0..CONNECTIONS {
        several.push(tonic_channel(address).await?);
    }
    let bare = Bare::connect([address; CONNECTIONS]).await?;

    let [mut ours, mut one, mut four, mut hyper] = <[Contender; 4]>::default();
    for turn in 0..run.runs {
        progress(&format!("  run {} of {}", turn + 1, run.runs));
        ours.add(cost(from_ref(&stack.client), CALLERS, run.window()).await?);
        one.add(cost(from_ref(&single), CALLERS, run.window()).await?);
        four.add(cost(&several, CALLERS, run.window()).await?);
        hyper.add(cost(from_ref(&bare), CALLERS, run.window()).await?);
    }
    let row = |name: &str, unit, ours: &Runs| Row::new(format!("1 endpoint, {name}"), unit, ours);
    Ok(vec![
        row("throughput", "calls/s", &ours.rate)
            .against("tonic, 1 connection", &ours.rate, &one.rate)
            .target(Ratio(AtLeast(1.3))),
        row("throughput", "calls/s", &ours.rate)
            .against("tonic, 4 connections", &ours.rate, &four.rate)
            .target(Ratio(AtLeast(1.0))),
        row("client CPU a call", "us", &ours.cpu)
            .against("tonic, 1 connection", &ours.cpu, &one.cpu)
            .target(Ratio(AtMost(0.85))),
        row("client CPU a call", "us", &ours.cpu).against(
            "tonic, 4 connections",
            &ours.cpu,
            &four.cpu,
        ),
        row("client CPU a call", "us", &ours.cpu)
            .against("hyper, 4 connections", &ours.cpu, &hyper.cpu)
            .target(Ratio(AtMost(1.15))),
        row("throughput", "calls/s", &ours.rate).against(
            "hyper, 4 connections",
            &ours.rate,
            &hyper.rate,
        ),
    ])
}
