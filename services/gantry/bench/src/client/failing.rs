//! Share of the calls that go to a replica that answers UNAVAILABLE at once, from a cold start.

use std::time::Duration;

use tokio::time::sleep;

use super::trio::{ALL_KINDS, CALLERS, Failures, HEALTHY, Journal, Trio, p99, work};
use crate::{
    args::RunArgs,
    callers::{Caller, Ours, tonic_balanced},
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

/// Time by which the replica must be ejected and callers must no longer notice it.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    failures: Failures,
    share: Runs,
    p99: Runs,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let journal = Journal::new()?;
    let mut trio = Trio::start(Some(journal.path())).await?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let [mut healthy, mut ours, mut tonic] = <[Seen; 3]>::default();
        for turn in 0..run.runs {
            progress(&format!("  {callers} callers, run {} of {}", turn + 1, run.runs));
            trio.behave(HEALTHY).await?;
            let cold = Ours::new(&trio.addresses, Default::default()).await?;
            healthy.add(&mut trio, &cold.client, callers, run).await?;
            trio.behave(Behaviour::Fail).await?;
            let cold = Ours::new(&trio.addresses, Default::default()).await?;
            ours.add(&mut trio, &cold.client, callers, run).await?;
            let balanced = tonic_balanced(&trio.addresses)?;
            tonic.add(&mut trio, &balanced, callers, run).await?;
        }
        let name = |what: &str| format!("1 of 3 replicas failing fast, {callers} callers: {what}");
        rows.extend([
            ours.failures.repeatable(name("failed calls that may be repeated"), &tonic.failures),
            Row::new(name("its share after 1 s"), "%", &ours.share)
                .against("tonic balance_list", &ours.share, &tonic.share)
                .target(Value(Below(1.0))),
            Row::new(name("p99 after 1 s"), "ms", &ours.p99)
                .against("three healthy", &ours.p99, &healthy.p99)
                .target(Ratio(AtMost(1.5))),
            ours.failures.others(name("other failed calls"), &tonic.failures),
        ]);
    }
    rows.push(journal.doubles("1 of 3 replicas failing fast: double executions")?);
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
        let load = Load::start(caller, work(callers, ALL_KINDS));
        sleep(SETTLED).await;
        let settled = trio.calls().await?;
        sleep(run.window()).await;
        self.share.push(trio.calls().await?.share_since(settled));
        let calls = load.finish().await;
        self.p99.push(p99(calls.iter().filter(|call| call.made >= SETTLED)));
        self.failures.add(&calls);
        Ok(())
    }
}
