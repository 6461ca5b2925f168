//! Time from the registration of a new replica to its first call.

use std::time::Duration;

use tokio::{sync::mpsc, time::sleep};
use tonic::transport::{Channel, channel::Change};

use super::trio::{HEALTHY, work};
use crate::{
    args::RunArgs,
    callers::{Caller, Method, Ours, endpoint},
    contract::bench::v1::bench_service_client::BenchServiceClient,
    error::BenchError,
    load::{Call, Load, Outcome},
    replica::{Plan, Replica},
    row::{Bound::AtMost, Row, Target::Value},
    stats::Runs,
};

const CALLERS: usize = 16;

/// Number of the joining replica; the others are 0.
const JOINER: u32 = 1;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let others = Replica::start(&Plan { behaviour: HEALTHY, ports: 2, ..Plan::default() }).await?;
    let joiners = Plan { number: JOINER, ports: 2 * run.runs, ..Plan::default() };
    let joiners = Replica::start(&joiners).await?;
    let [mut ours, mut tonic] = <[Runs; 2]>::default();
    for pair in joiners.addresses.chunks_exact(2) {
        let mut stack = Ours::new(&others.addresses, Default::default()).await?;
        let client = stack.client.clone();
        ours.push(first_answer(&client, async || stack.join(pair[0]).await).await?);

        let (channel, list): (_, mpsc::Sender<Change<usize, _>>) = Channel::balance_channel(8);
        // The channel follows the registry as long as it lives.
        for (key, address) in others.addresses.iter().enumerate() {
            drop(list.send(Change::Insert(key, endpoint(*address)?)).await);
        }
        let joiner = Change::Insert(others.addresses.len(), endpoint(pair[1])?);
        let join = async || {
            drop(list.send(joiner).await);
            Ok(())
        };
        tonic.push(first_answer(&BenchServiceClient::new(channel), join).await?);
    }
    Ok(vec![
        Row::new("a joiner's first answer after it was told of", "ms", &ours)
            .against("tonic balance_channel", &ours, &tonic)
            .target(Value(AtMost(50.0))),
    ])
}

/// Returns the milliseconds from the start of `join` to the joiner's first answer.
async fn first_answer<C: Caller>(
    caller: &C,
    join: impl AsyncFnOnce() -> Result<(), BenchError>,
) -> Result<f64, BenchError> {
    const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
    let load = Load::start(caller, work(CALLERS, &[Method::Read]));
    sleep(Duration::from_millis(300)).await;
    let told = load.started.elapsed();
    join().await?;
    sleep(JOIN_TIMEOUT).await;
    let calls = load.finish().await;
    let by_joiner = |call: &&Call| call.outcome == Outcome::Answered(JOINER);
    let first = calls.iter().filter(by_joiner).map(|call| call.ended).min();
    let first = first.ok_or(BenchError::Late("a joiner got no call", JOIN_TIMEOUT))?;
    Ok((first - told).as_secs_f64() * 1e3)
}
