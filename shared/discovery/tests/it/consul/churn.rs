//! Many instances that register and deregister.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use gantry_consul_agent::Agent;
use serde_json::json;

use super::{agent::Reached, eventually, registry};

const INSTANCES: u16 = 1000;
const ROUNDS: u16 = 6;
const LEAVING: u16 = 25;

fn port(number: u16) -> u16 {
    40_000 + number
}

async fn comes(agent: &Agent, number: u16) {
    let body = json!({
        "ID": format!("user-{number}"),
        "Name": "user",
        "Address": "127.0.0.1",
        "Port": port(number),
    });
    agent.send("PUT", "/v1/agent/service/register", Some(body)).await;
}

async fn leaves(agent: &Agent, number: u16) {
    let path = format!("/v1/agent/service/deregister/user-{number}");
    agent.send("PUT", &path, None).await;
}

/// Returns the maximum number of queries in a time: the burst and 20 per second, doubled for a
/// machine with uneven timing.
fn allowed(time: Duration) -> usize {
    2 * (25 + 20 * (time.as_secs() as usize + 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_changes_cause_no_busy_loop() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let began = Instant::now();
    stream::iter(0..INSTANCES).for_each_concurrent(8, |number| comes(&agent, number)).await;
    let count = usize::from(INSTANCES);
    let all = async || (watch.current().len() == count).then_some(());
    eventually("all are found", all).await;
    let (filled, queries) = (began.elapsed(), agent.queries());
    assert!(queries <= allowed(filled), "{queries} queries in {filled:?}");

    let mut published = 0;
    for round in 0..ROUNDS {
        let some = (0..LEAVING).map(|number| (round * LEAVING + number) % INSTANCES);
        stream::iter(some.clone()).for_each_concurrent(8, |n| leaves(&agent, n)).await;
        let fewer = count - usize::from(LEAVING);
        while watch.current().len() != fewer {
            watch.changed().await;
            published += 1;
        }
        stream::iter(some).for_each_concurrent(8, |n| comes(&agent, n)).await;
        while watch.current().len() != count {
            watch.changed().await;
            published += 1;
        }
    }
    let (time, queries) = (began.elapsed(), agent.queries());
    assert!(queries <= allowed(time), "{queries} queries in {time:?}");
    assert!(published <= queries, "published {published} times after {queries} queries");
    report(
        "churned",
        &format!("{time:?} (filled in {filled:?}), {queries} queries, published {published}"),
    );

    // Without changes, only one blocking query waits.
    let before = agent.queries();
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The query that is running, and the next one.
    let idle = agent.queries() - before;
    assert!(idle <= 2, "{idle} queries without a change");
}

/// A critical instance is not published. It is published once it passes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_passing_instance_is_published_once() {
    let agent = Agent::start().await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let mut took = Vec::new();
    for number in 0..30 {
        let body = json!({
            "ID": format!("user-{number}"),
            "Name": "user",
            "Address": "127.0.0.1",
            "Port": port(number),
            "Check": {"CheckID": format!("check-{number}"), "TTL": "60s", "Status": "critical"},
        });
        agent.send("PUT", "/v1/agent/service/register", Some(body)).await;
        assert_eq!(watch.current().len(), usize::from(number), "published before it passed");
        // The watch gets the answer, but the watchers are not notified.
        tokio::time::sleep(Duration::from_millis(150)).await;
        let passing = Instant::now();
        agent.send("PUT", &format!("/v1/agent/check/pass/check-{number}"), None).await;
        watch.changed().await;
        took.push(passing.elapsed());
        assert_eq!(watch.current().len(), usize::from(number) + 1);
    }
    took.sort_unstable();
    report("passing to published", &format!("median {:?}, longest {:?}", took[15], took[29]));
}

#[expect(
    clippy::print_stderr,
    reason = "what was measured depends on the machine: read, not asserted"
)]
fn report(what: &str, numbers: &str) {
    eprintln!("{what}: {numbers}");
}
