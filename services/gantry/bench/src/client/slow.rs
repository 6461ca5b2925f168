//! Share and latency with one of three replicas 100 ms slower, from a cold start.

use std::time::Duration;

use tokio::time::sleep;

use super::trio::{CALLERS, HEALTHY, SERVICE_TIME, Trio, p99, work};
use crate::{
    args::RunArgs,
    callers::{Caller, Method, Ours, tonic_balanced},
    error::BenchError,
    load::Load,
    progress,
    replica::Behaviour,
    row::{
        Bound::{AtMost, Below},
        Row,
        Target::{Ratio, Value},
    },
    stats::Runs,
};

const SLOW: Behaviour = Behaviour::Delay(SERVICE_TIME.saturating_add(Duration::from_millis(100)));

#[derive(Default)]
struct Seen {
    p99: Runs,
    share: Runs,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let mut trio = Trio::start(None).await?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let [mut healthy, mut ours, mut tonic] = <[Seen; 3]>::default();
        for turn in 0..run.runs {
            progress(&format!("  {callers} callers, run {} of {}", turn + 1, run.runs));
            trio.behave(HEALTHY).await?;
            let cold = Ours::new(&trio.addresses, Default::default()).await?;
            healthy.add(&mut trio, &cold.client, callers, run).await?;
            trio.behave(SLOW).await?;
            let cold = Ours::new(&trio.addresses, Default::default()).await?;
            ours.add(&mut trio, &cold.client, callers, run).await?;
            let balanced = tonic_balanced(&trio.addresses)?;
            tonic.add(&mut trio, &balanced, callers, run).await?;
        }
        let name = |what: &str| format!("1 of 3 replicas 100 ms slower, {callers} callers: {what}");
        rows.push(
            Row::new(name("its share"), "%", &ours.share)
                .against("tonic balance_list", &ours.share, &tonic.share)
                .target(Value(Below(1.0))),
        );
        rows.push(
            Row::new(name("p99"), "ms", &ours.p99)
                .against("three healthy", &ours.p99, &healthy.p99)
                .target(Ratio(AtMost(1.5))),
        );
        rows.push(Row::new(name("p99"), "ms", &ours.p99).against(
            "tonic balance_list",
            &ours.p99,
            &tonic.p99,
        ));
    }
    Ok(rows)
}

impl Seen {
    async fn add<C: Caller>(
        &mut self,
        trio: &mut Trio,
        caller: &C,
        callers: usize,
        run: &RunArgs,
    ) -> Result<(), BenchError> {
        let before = trio.calls().await?;
        let load = Load::start(caller, work(callers, &[Method::Read]));
        sleep(run.window()).await;
        let calls = load.finish().await;
        self.p99.push(p99(&calls));
        self.share.push(trio.calls().await?.share_since(before));
        Ok(())
    }
}
