//! Time until an ejected replica that recovered gets calls again.

use std::time::Duration;

use gantry_client::{ClientSettings, EjectionSettings};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::trio::HEALTHY;
use crate::{
    args::RunArgs,
    callers::{Method, Ours},
    error::BenchError,
    load::{Call, Load, Outcome, Work},
    progress,
    replica::{Behaviour, Plan, Replica},
    row::{Bound::AtMost, Row, Target::Value},
    stats::Runs,
};

const WORK: Work = Work { callers: 8, methods: &[Method::Read], pause: Duration::from_millis(10) };

/// Ejection time, shorter than the default. At least the 3 s after which an unpicked endpoint is
/// tried: until then its failures count against it.
const EJECTED: Duration = Duration::from_secs(3);

/// Allowed time after the ejection ended.
const SLACK: Duration = Duration::from_secs(1);

/// Number of the replica that is ejected.
const SICK: u32 = 1;

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    progress("  all runs at once");
    let mut runs = JoinSet::new();
    for _ in 0..run.runs {
        runs.spawn(returned());
    }
    let returned = runs.join_all().await.into_iter().collect::<Result<Runs, BenchError>>()?;
    Ok(vec![
        Row::new("ejected for 3 s: first answer after the ejection", "s", &returned)
            .target(Value(AtMost((EJECTED + SLACK).as_secs_f64()))),
    ])
}

/// Returns the seconds from the ejection of a replica to its next answer.
async fn returned() -> Result<f64, BenchError> {
    let others = Replica::start(&Plan { behaviour: HEALTHY, ports: 2, ..Plan::default() }).await?;
    let sick = Plan { number: SICK, behaviour: HEALTHY, ports: 1, ..Plan::default() };
    let mut sick = Replica::start(&sick).await?;
    // Eject at the first failure: its score would keep calls away before it has five.
    let ejection = EjectionSettings::default().consecutive_failures(1).base_time(EJECTED);
    let settings = ClientSettings::default().ejection(ejection);
    let addresses = [&others.addresses[..], &sick.addresses].concat();
    let stack = Ours::new(&addresses, settings).await?;
    stack.connected(addresses.len()).await?;
    let load = Load::start(&stack.client, WORK);
    sleep(Duration::from_millis(200)).await;
    sick.behave(Behaviour::Fail).await?;
    let ejected = ejection_of(&stack).await? - load.started;
    sick.behave(HEALTHY).await?;
    sleep(EJECTED + 2 * SLACK).await;
    let calls = load.finish().await;
    let again = |call: &&Call| call.made >= ejected && call.outcome == Outcome::Answered(SICK);
    let first = calls.iter().filter(again).map(|call| call.ended).min();
    let first = first.ok_or(BenchError::Late("an ejected replica got no call", 2 * SLACK))?;
    Ok((first - ejected).as_secs_f64())
}

/// Returns the time of an endpoint's ejection.
async fn ejection_of(stack: &Ours) -> Result<Instant, BenchError> {
    const EJECT_TIMEOUT: Duration = Duration::from_secs(10);
    let until = Instant::now() + EJECT_TIMEOUT;
    while Instant::now() < until {
        if let Some(left) =
            stack.channel.snapshot().endpoints.iter().find_map(|one| one.ejected_for)
        {
            return Ok(Instant::now() - EJECTED.saturating_sub(left));
        }
        sleep(Duration::from_millis(1)).await;
    }
    Err(BenchError::Late("nothing was ejected", EJECT_TIMEOUT))
}
