//! Memory that one caller can make a server hold. Measures the bytes sent, the memory used and the effect
//! on other callers of each attack, beside a harmless load of as many bytes.
//!
//! The server is `gantry up` as a process of its own. Attackers have loopback addresses of their own,
//! except in one attack, which shares the address of other callers.

mod attack;
mod flood;
mod others;
mod suite;
mod wire;

use std::time::Duration;

use tokio::time::{Instant, sleep};

use self::{
    attack::Attack,
    others::{Others, harmless},
    suite::Suite,
};
use crate::{
    args::RunArgs,
    error::BenchError,
    progress,
    row::{
        Bound::AtMost,
        Row,
        Target::{Ratio, Value},
    },
    stats::Runs,
};

/// Limit of the memory of an attack, in MiB: far below its memory without limits.
const MEMORY: f64 = 64.0;

/// Time after an attack until its memory is measured again.
const RECOVERY: Duration = Duration::from_secs(2);

/// Limits a run, so that all attacks end within two minutes.
const MOST_RUNS: u32 = 2;

#[derive(Default)]
struct Seen {
    sent: Runs,
    held: Runs,
    kept: Runs,
    p99: Runs,
    harmless: Runs,
    lost: Runs,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let suite = Suite::start().await?;
    // The first calls are slow and allocate memory that later calls reuse.
    let others = Others::start(&suite);
    harmless(&suite, 1_000.0, run.window()).await;
    others.stop().await;
    let mut seen = Attack::ALL.map(|attack| (attack, Seen::default()));
    for number in 1..=run.runs.min(MOST_RUNS) {
        progress(&format!("  run {number} of {}", run.runs.min(MOST_RUNS)));
        for (attack, seen) in &mut seen {
            progress(&format!("    {}", attack.name()));
            seen.add(&suite, *attack, run.window()).await?;
        }
    }
    Ok(seen.into_iter().flat_map(|(attack, seen)| seen.rows(attack.name())).collect())
}

impl Seen {
    async fn add(
        &mut self,
        suite: &Suite,
        attack: Attack,
        window: Duration,
    ) -> Result<(), BenchError> {
        let before = suite.memory()?;
        let others = Others::start(suite);
        let attacking = attack.run(suite, window);
        let (sent, peak) = tokio::join!(attacking, peak(suite, window));
        let attacked = others.stop().await;
        sleep(RECOVERY).await;
        let after = suite.memory()?;

        let others = Others::start(suite);
        harmless(suite, sent as f64 / window.as_secs_f64(), window).await;
        let spared = others.stop().await;

        self.sent.push(mebibytes(sent));
        self.held.push(mebibytes(peak?.saturating_sub(before)));
        self.kept.push(mebibytes(after.saturating_sub(before)));
        self.p99.push(attacked.p99);
        self.harmless.push(spared.p99);
        self.lost.push(attacked.lost as f64);
        Ok(())
    }

    fn rows(self, attack: &str) -> [Row; 5] {
        let name = |what: &str| format!("{attack}: {what}");
        [
            Row::new(name("sent"), "MiB", &self.sent),
            Row::new(name("memory held at its peak"), "MiB", &self.held)
                .target(Value(AtMost(MEMORY))),
            Row::new(name("memory kept after it"), "MiB", &self.kept).target(Value(AtMost(MEMORY))),
            Row::new(name("p99 of the others"), "ms", &self.p99)
                .against("as many harmless bytes", &self.p99, &self.harmless)
                .target(Ratio(AtMost(3.0))),
            Row::new(name("calls that the others lost"), "calls", &self.lost)
                .target(Value(AtMost(0.0))),
        ]
    }
}

/// Returns the peak memory of the suite during a duration.
async fn peak(suite: &Suite, window: Duration) -> Result<u64, BenchError> {
    let until = Instant::now() + window;
    let mut peak = 0;
    while Instant::now() < until {
        peak = peak.max(suite.memory()?);
        sleep(Duration::from_millis(20)).await;
    }
    Ok(peak)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}
