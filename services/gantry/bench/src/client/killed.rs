//! Calls lost when one of three replicas is killed under load.

use std::time::Duration;

use tokio::time::sleep;

use super::trio::{ALL_KINDS, CALLERS, Failures, Journal, Trio, p99, work};
use crate::{
    args::RunArgs,
    callers::{Caller, Ours, tonic_balanced},
    error::BenchError,
    load::Load,
    progress,
    row::{
        Bound::AtMost,
        Row,
        Target::{Ratio, Value},
    },
    stats::Runs,
};

/// Time before the kill.
const BEFORE: Duration = Duration::from_millis(500);

/// Time after the kill from which on callers must no longer notice it.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    failures: Failures,
    p99_before: Runs,
    p99_after: Runs,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let journal = Journal::new()?;
    let mut trio = Trio::start(Some(journal.path())).await?;
    let mut rows = Vec::new();
    for callers in CALLERS {
        let [mut ours, mut tonic] = <[Seen; 2]>::default();
        for turn in 0..run.runs {
            progress(&format!("  {callers} callers, run {} of {}", turn + 1, run.runs));
            let cold = Ours::new(&trio.addresses, Default::default()).await?;
            ours.add(&mut trio, &cold.client, callers, run).await?;
            let balanced = tonic_balanced(&trio.addresses)?;
            tonic.add(&mut trio, &balanced, callers, run).await?;
        }
        let name = |what: &str| format!("1 of 3 replicas killed, {callers} callers: {what}");
        // The calls in flight at one replica are at most all callers.
        let in_flight = callers as f64 * f64::from(run.runs);
        rows.extend([
            ours.failures.repeatable(name("failed calls that may be repeated"), &tonic.failures),
            ours.failures
                .others(name("other failed calls"), &tonic.failures)
                .target(Value(AtMost(in_flight))),
            ours.failures.unexplained(name("other failed calls without OUTCOME_UNKNOWN")),
            Row::new(name("p99 after 1 s"), "ms", &ours.p99_after)
                .against("before the kill", &ours.p99_after, &ours.p99_before)
                .target(Ratio(AtMost(1.5))),
            Row::new(name("p99 after 1 s"), "ms", &ours.p99_after).against(
                "tonic balance_list",
                &ours.p99_after,
                &tonic.p99_after,
            ),
        ]);
    }
    rows.push(journal.doubles("1 of 3 replicas killed: double executions")?);
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
        sleep(BEFORE).await;
        let killed = load.started.elapsed();
        trio.kill().await?;
        sleep(SETTLED + run.window()).await;
        let calls = load.finish().await;
        trio.revive().await?;
        self.p99_before.push(p99(calls.iter().filter(|call| call.ended < killed)));
        self.p99_after.push(p99(calls.iter().filter(|call| call.made >= killed + SETTLED)));
        self.failures.add(&calls);
        Ok(())
    }
}
