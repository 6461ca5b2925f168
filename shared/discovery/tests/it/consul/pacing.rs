//! Rate of queries to an agent that answers at once, in paused time.

use std::{
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{
    registry,
    scripted::{Answer, Scripted},
    watching::ONE,
};

const INSTANCES: u64 = 1000;

/// Returns a thousand instances. One of them changes per round.
fn changed(round: u64) -> String {
    let mut set = String::from("[");
    for number in 0..INSTANCES {
        let version = if number == round % INSTANCES { round } else { 0 };
        let separator = if number == 0 { "" } else { "," };
        write!(
            set,
            r#"{separator}{{"Node":{{"Address":"127.0.0.1"}},"Service":{{"ID":"{number}",
            "Address":"10.0.0.1","Port":{},"Meta":{{"version":"{version}"}}}}}}"#,
            number + 1
        )
        .unwrap();
    }
    set + "]"
}

#[tokio::test(start_paused = true)]
async fn endless_changes_are_fetched_at_20_per_second() {
    const ROUNDS: usize = 200;
    let index = AtomicU64::new(1);
    let agent = Scripted::answering(move |_| {
        let round = index.fetch_add(1, Ordering::Relaxed);
        Answer::new(round, changed(round))
    })
    .await;
    let registry = registry(agent.settings());
    let began = Instant::now();
    let mut watch = registry.resolver.watch("user");
    let mut sets = Vec::new();
    while agent.health_queries().len() < ROUNDS {
        watch.changed().await;
        let set = watch.current();
        assert_eq!(set.len() as u64, INSTANCES);
        sets.push(Arc::downgrade(&set));
    }
    // The burst is 20 queries, and one is running.
    let least = Duration::from_millis(50) * (ROUNDS as u32 - 22);
    assert!(began.elapsed() >= least, "{ROUNDS} queries in {:?}", began.elapsed());
    assert!(sets.len() <= ROUNDS, "published {} times", sets.len());
    // Old sets are freed.
    let kept = sets.iter().filter(|set| set.strong_count() > 0).count();
    assert!(kept <= 1, "{kept} sets are kept");
}

#[tokio::test(start_paused = true)]
async fn instant_answers_without_changes_are_fetched_once_a_second() {
    const ROUNDS: usize = 100;
    let agent = Scripted::start([Answer::new(10, ONE)]).await;
    let registry = registry(agent.settings());
    let began = Instant::now();
    let _watch = registry.resolver.watch("user");
    while agent.health_queries().len() < ROUNDS {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let least = Duration::from_secs(ROUNDS as u64 - 4);
    assert!(began.elapsed() >= least, "{ROUNDS} queries in {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_failing_agent_is_queried_every_few_seconds() {
    const ROUNDS: usize = 100;
    let agent = Scripted::start([Answer { status: 500, ..Answer::new(10, "No cluster leader") }]);
    let agent = agent.await;
    let registry = registry(agent.settings());
    let began = Instant::now();
    let _watch = registry.resolver.watch("user");
    while agent.health_queries().len() < ROUNDS {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The delays double up to 4 s. Jitter removes up to half of each.
    let least = Duration::from_secs(2) * (ROUNDS as u32 - 7);
    assert!(began.elapsed() >= least, "{ROUNDS} queries in {:?}", began.elapsed());
}
