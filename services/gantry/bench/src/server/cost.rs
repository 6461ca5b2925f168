//! Cost of our server stack beside tonic's server, with the same handlers and callers.

use crate::{
    args::RunArgs,
    callers::{Bare, Caller},
    contender::{Contender, compete},
    error::BenchError,
    replica::{Plan, Replica, Served},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::Ratio,
    },
};

/// Number of bare connections of the callers.
const CONNECTIONS: usize = 4;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let mut ours = contender(Served::Ours).await?;
    let mut tonic = contender(Served::Tonic).await?;
    compete(run, &mut [&mut ours, &mut tonic]).await?;

    const TONIC: &str = "tonic's server";
    Ok(vec![
        Row::new("server stack: throughput", "calls/s", &ours.rate)
            .against(TONIC, &ours.rate, &tonic.rate)
            .target(Ratio(AtLeast(0.9))),
        Row::new("server stack: server CPU a call", "us", &ours.cpu)
            .against(TONIC, &ours.cpu, &tonic.cpu)
            .target(Ratio(AtMost(1.15))),
    ])
}

async fn contender(served: Served) -> Result<Contender<impl Caller>, BenchError> {
    let server = Replica::start(&Plan { ports: 1, served, ..Plan::default() }).await?;
    let callers = Bare::connect([server.address()?; CONNECTIONS]).await?;
    Ok(Contender::new(vec![callers]).judged_by(server))
}
