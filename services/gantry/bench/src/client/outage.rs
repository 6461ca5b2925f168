//! Attempts during an outage of all replicas, and time to the first success after it.

use std::time::Duration;

use gantry_client::{BreakerSettings, ClientSettings};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    args::RunArgs,
    callers::{Method, Ours},
    error::BenchError,
    load::{Call, Load, Work},
    progress,
    replica::{Behaviour, Plan, Replica},
    row::{Bound::AtMost, Row, Target::Value},
    stats::Runs,
};

/// About 400 calls a second: callers do not call faster in an outage.
const WORK: Work = Work { callers: 8, methods: &[Method::Read], pause: Duration::from_millis(20) };

/// First open wait of the breaker, shorter than the default. A failed probe doubles it.
const OPEN: Duration = Duration::from_secs(1);

/// Length of the outage: long enough for a probe to fail.
const OUTAGE: Duration = Duration::from_millis(2_500);

/// Allowed time from the end of the open wait to the first success.
const SLACK: Duration = Duration::from_secs(1);

/// Allowed time from the first successful probe to the closed breaker.
const CLOSING: Duration = Duration::from_millis(200);

/// Results of one outage.
struct Seen {
    /// Attempts per call once the retry budget was spent, without a breaker.
    attempts: f64,
    /// Attempts per call over the whole outage, with the breaker.
    with_breaker: f64,
    /// Seconds from the end of the open wait to the first success.
    late: f64,
    /// Calls that failed after the service and the breaker had recovered.
    failed_after: f64,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    progress("  all runs at once");
    let mut outages = JoinSet::new();
    for _ in 0..run.runs {
        outages.spawn(async { tokio::try_join!(retried(), broken()) });
    }
    let mut seen = Vec::new();
    for outage in outages.join_all().await {
        let (attempts, broken) = outage?;
        seen.push(Seen { attempts, ..broken });
    }
    let runs = |of: fn(&Seen) -> f64| seen.iter().map(of).collect::<Runs>();
    let failed_after: f64 = seen.iter().map(|seen| seen.failed_after).sum();
    Ok(vec![
        Row::new(
            "total outage, no breaker: attempts a call, the budget spent",
            "",
            &runs(|seen| seen.attempts),
        )
        .target(Value(AtMost(1.2))),
        Row::new("total outage: attempts a call", "", &runs(|seen| seen.with_breaker))
            .target(Value(AtMost(1.2))),
        Row::new("total outage: first success after the open wait", "s", &runs(|seen| seen.late))
            .target(Value(AtMost(SLACK.as_secs_f64()))),
        Row::new(
            "total outage: failed calls from 0.2 s after the first success",
            "in all",
            &[failed_after].into_iter().collect(),
        )
        .target(Value(AtMost(0.0))),
    ])
}

/// Measures the attempts of retries alone while everything fails.
async fn retried() -> Result<f64, BenchError> {
    let breaker = BreakerSettings::default()
        .consecutive_failures(u32::MAX)
        .window_time(Duration::from_secs(1))
        .minimum_calls(u32::MAX);
    let settings = ClientSettings::default().breaker(breaker);
    let mut replica = Replica::start(&Plan { ports: 3, ..Plan::default() }).await?;
    let stack = Ours::new(&replica.addresses, settings).await?;
    stack.connected(replica.addresses.len()).await?;
    let load = Load::start(&stack.client, WORK);
    replica.behave(Behaviour::Fail).await?;
    let budget = f64::from(ClientSettings::default().retry.budget_tokens);
    until("the budget was not spent", || stack.channel.snapshot().retry_tokens <= budget / 2.0)
        .await?;
    let (sent, made) = (replica.calls().await?, load.ended());
    sleep(OUTAGE).await;
    let (sent, made) = (replica.calls().await? - sent, load.ended() - made);
    load.finish().await;
    Ok(sent as f64 / made as f64)
}

/// Measures the outage with the breaker.
async fn broken() -> Result<Seen, BenchError> {
    let breaker = BreakerSettings::default().open(OPEN);
    let settings = ClientSettings::default().breaker(breaker);
    let mut replica = Replica::start(&Plan { ports: 3, ..Plan::default() }).await?;
    let stack = Ours::new(&replica.addresses, settings).await?;
    stack.connected(replica.addresses.len()).await?;
    let load = Load::start(&stack.client, WORK);
    sleep(Duration::from_millis(500)).await;
    replica.behave(Behaviour::Fail).await?;
    let (sent, made) = (replica.calls().await?, load.ended());
    sleep(OUTAGE).await;
    let (sent, made) = (replica.calls().await? - sent, load.ended() - made);
    replica.behave(Behaviour::default()).await?;
    let wait = stack.channel.snapshot().breaker.half_open_in.unwrap_or_default();
    let open_until = load.started.elapsed() + wait;
    let recovered = open_until - wait;
    sleep(wait + 2 * SLACK).await;
    let calls = load.finish().await;
    let good = |call: &&Call| call.made >= recovered && !call.has_failed();
    let first = calls.iter().filter(good).map(|call| call.ended).min();
    let first = first.ok_or(BenchError::Late("nothing worked after an outage", 2 * SLACK))?;
    let failed = |call: &&Call| call.made >= first + CLOSING && call.has_failed();
    Ok(Seen {
        attempts: f64::NAN,
        with_breaker: sent as f64 / made as f64,
        late: first.saturating_sub(open_until).as_secs_f64(),
        failed_after: calls.iter().filter(failed).count() as f64,
    })
}

async fn until(what: &'static str, done: impl Fn() -> bool) -> Result<(), BenchError> {
    const WAIT_TIMEOUT: Duration = Duration::from_secs(10);
    let end = Instant::now() + WAIT_TIMEOUT;
    while !done() {
        if Instant::now() > end {
            return Err(BenchError::Late(what, WAIT_TIMEOUT));
        }
        sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
