//! Goodput of a server under five times its capacity, as an open-loop load.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    args::RunArgs,
    callers::{Method, Ours},
    error::BenchError,
    load::{Call, Load, Pace, Work},
    progress,
    replica::{Behaviour, Plan, Replica, Served},
    row::{
        Bound::{AtLeast, AtMost},
        Row,
        Target::{Ratio, Value},
    },
    stats::{Runs, percentile},
};

/// Capacity of the handler: concurrent calls, and the duration of each. 1,600 calls a second.
const SLOTS: u32 = 32;
const HELD: Duration = Duration::from_millis(20);

/// Load as a multiple of the capacity.
const TIMES: f64 = 5.0;

/// Load at capacity: one caller for each slot. The calls are not retried, which would change the load.
const PEAK: Work = Work { callers: SLOTS as usize, methods: &[Method::Add], pause: Duration::ZERO };

/// Time for the limit to settle.
const SETTLED: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Seen {
    goodput: Runs,
    p99: Runs,
    breaker: u64,
}

pub(super) async fn measure(run: &RunArgs) -> Result<Vec<Row>, BenchError> {
    let limited = replica(Served::Ours).await?;
    let unlimited = replica(Served::Unlimited).await?;
    let [mut peak, mut shed, mut queued] = <[Seen; 3]>::default();
    for number in 1..=run.runs {
        progress(&format!("  run {number} of {}", run.runs));
        let stack = Ours::new(&limited.addresses, Default::default()).await?;
        stack.connected(1).await?;
        let load = Load::start(&stack.client, PEAK);
        sleep(SETTLED + run.window()).await;
        peak.add(&load.finish().await, &stack, run);
        let rate = TIMES * f64::from(SLOTS) / HELD.as_secs_f64();
        for (seen, server) in [(&mut shed, &limited), (&mut queued, &unlimited)] {
            let stack = Ours::new(&server.addresses, Default::default()).await?;
            stack.connected(1).await?;
            let pace = Pace { rate, method: Method::Add, window: SETTLED + run.window() };
            seen.add(&pace.calls(&stack.client).await, &stack, run);
        }
    }

    const AT_PEAK: &str = "32 callers";
    let name = |what: &str| format!("5x overload: {what}");
    Ok(vec![
        Row::new(name("goodput"), "calls/s", &shed.goodput)
            .against(AT_PEAK, &shed.goodput, &peak.goodput)
            .target(Ratio(AtLeast(0.9))),
        Row::new(name("p99 of what is accepted"), "ms", &shed.p99)
            .against(AT_PEAK, &shed.p99, &peak.p99)
            .target(Ratio(AtMost(3.0))),
        Row::new(name("changes of the callers' breaker"), "in all", &count(shed.breaker))
            .target(Value(AtMost(0.0))),
        Row::new(name("goodput, limit off"), "calls/s", &queued.goodput).against(
            AT_PEAK,
            &queued.goodput,
            &peak.goodput,
        ),
        Row::new(name("p99 of what is answered, limit off"), "ms", &queued.p99).against(
            AT_PEAK,
            &queued.p99,
            &peak.p99,
        ),
        Row::new(
            name("changes of the callers' breaker, limit off"),
            "in all",
            &count(queued.breaker),
        ),
    ])
}

async fn replica(served: Served) -> Result<Replica, BenchError> {
    let behaviour = Behaviour::Delay(HELD);
    Replica::start(&Plan { behaviour, served, slots: Some(SLOTS), ports: 1, ..Plan::default() })
        .await
}

fn count(changes: u64) -> Runs {
    [changes as f64].into_iter().collect()
}

impl Seen {
    fn add(&mut self, calls: &[Call], stack: &Ours, run: &RunArgs) {
        let end = SETTLED + run.window();
        let answered = |call: &&Call| (SETTLED..end).contains(&call.ended) && !call.has_failed();
        let took: Vec<_> = calls.iter().filter(answered).map(Call::took).collect();
        self.goodput.push(took.len() as f64 / run.window().as_secs_f64());
        self.p99.push(percentile(took, 99.0));
        self.breaker += stack.channel.snapshot().breaker.generation;
    }
}
