//! Cost of a call with 1,000 endpoints of one connection each.

use crate::{
    args::RunArgs,
    callers::{Bare, Ours},
    contender::{Contender, compete},
    error::BenchError,
    replica::{Plan, Replica},
    row::{Bound::AtMost, Row, Target::Ratio},
};

const ENDPOINTS: u32 = 1_000;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    // One process listens on all ports: a client sees no difference.
    let server = Replica::start(&Plan { ports: ENDPOINTS, ..Plan::default() }).await?;
    let stack = Ours::new(&server.addresses, Default::default()).await?;
    stack.connected(server.addresses.len()).await?;
    let bare = Bare::connect(server.addresses.iter().copied()).await?;
    let (mut ours, mut hyper) =
        (Contender::new(vec![stack.client.clone()]), Contender::new(vec![bare]));
    compete(run, &mut [&mut ours, &mut hyper]).await?;

    const HYPER: &str = "hyper, 1,000 connections";
    Ok(vec![
        Row::new("1,000 endpoints: throughput", "calls/s", &ours.rate).against(
            HYPER,
            &ours.rate,
            &hyper.rate,
        ),
        Row::new("1,000 endpoints: client CPU a call", "us", &ours.cpu)
            .against(HYPER, &ours.cpu, &hyper.cpu)
            .target(Ratio(AtMost(1.15))),
    ])
}
