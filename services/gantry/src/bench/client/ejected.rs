//! A replica fails, is ejected and is well again: when does it get calls again?

use std::time::Duration;

use gantry_client::{ClientSettings, EjectionSettings};
use tokio::time::{Instant, sleep};

use super::trio::{HEALTHY, Trio, work};
use crate::bench::{
    args::RunArgs,
    callers::{Method, Ours},
    error::BenchError,
    load::{Call, Load, Outcome},
    progress,
    replica::Behaviour,
    row::{Bound::AtMost, Row, Target::Value},
    stats::Runs,
};

const CALLERS: usize = 16;

/// How long it is ejected, shorter than by default.
const EJECTED: Duration = Duration::from_secs(1);

/// How long after that it may take.
const SLACK: Duration = Duration::from_secs(1);

/// The number of the one that is ejected.
const SICK: u32 = 2;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let mut trio = Trio::start(None).await?;
    // By its first failure: otherwise its score keeps calls away before it has five.
    let ejection = EjectionSettings {
        consecutive_failures: 1,
        base_time: EJECTED,
        ..EjectionSettings::default()
    };
    let settings = ClientSettings { ejection, ..ClientSettings::default() };
    let mut returned = Runs::default();
    for turn in 0..run.runs {
        progress(&format!("  run {} of {}", turn + 1, run.runs));
        trio.behave(HEALTHY).await?;
        let stack = Ours::new(&trio.addresses, settings.clone()).await?;
        let load = Load::start(&stack.client, work(CALLERS, &[Method::Read]));
        sleep(Duration::from_millis(200)).await;
        trio.behave(Behaviour::Fail).await?;
        let ejected = ejection_of(&stack).await? - load.started;
        trio.behave(HEALTHY).await?;
        sleep(EJECTED + 2 * SLACK).await;
        let calls = load.finish().await;
        let again = |call: &&Call| call.made >= ejected && call.outcome == Outcome::Answered(SICK);
        let first = calls.iter().filter(again).map(|call| call.ended).min();
        let first = first.ok_or(BenchError::Late("an ejected replica got no call", 2 * SLACK))?;
        returned.push((first - ejected).as_secs_f64());
    }
    Ok(vec![
        Row::new("ejected for 1 s: first answer after the ejection", "s", &returned)
            .target(Value(AtMost((EJECTED + SLACK).as_secs_f64()))),
    ])
}

/// When an endpoint was ejected.
async fn ejection_of(stack: &Ours) -> Result<Instant, BenchError> {
    const PATIENCE: Duration = Duration::from_secs(10);
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        if let Some(left) =
            stack.channel.snapshot().endpoints.iter().find_map(|one| one.ejected_for)
        {
            return Ok(Instant::now() - EJECTED.saturating_sub(left));
        }
        sleep(Duration::from_millis(1)).await;
    }
    Err(BenchError::Late("nothing was ejected", PATIENCE))
}
