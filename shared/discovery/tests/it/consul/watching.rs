//! Queries of a watch, and its decisions about answers.

use std::time::Duration;

use gantry_discovery::{Status, Watch};
use tokio::{runtime::Handle, time::Instant};

use super::{
    NeverEmpty, eventually, is_pending, is_stale, registry,
    scripted::{Answer, Scripted},
};
use crate::contract::{ports, sees};

const NONE: &str = "[]";
pub(super) const ONE: &str = r#"[{"Node":{"Address":"127.0.0.1"},
    "Service":{"ID":"a","Address":"127.0.0.1","Port":1001}}]"#;
pub(super) const OTHER: &str = r#"[{"Node":{"Address":"127.0.0.1"},
    "Service":{"ID":"b","Address":"","Port":1002}}]"#;

const AT_ONCE: &str = "/v1/health/service/user?passing&stale";

fn newer_than(index: u64) -> String {
    format!("{AT_ONCE}&index={index}")
}

async fn receives(agent: &Scripted, expected: &[String]) {
    let all =
        async || (agent.health_queries().len() >= expected.len()).then(|| agent.health_queries());
    assert_eq!(eventually("all queries", all).await, expected);
}

#[tokio::test]
async fn the_index_of_an_error_is_ignored() {
    let failure = Answer { status: 500, ..Answer::new(1, "No cluster leader") };
    let agent = Scripted::start([
        Answer::new(10, ONE),
        failure,
        Answer::new(11, OTHER),
        Answer::new(12, ONE).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1002]).await;
    receives(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into(), newer_than(11)]).await;
}

#[tokio::test]
async fn a_decreased_index_is_reset() {
    let agent = Scripted::start([
        Answer::new(10, ONE),
        Answer::new(4, OTHER),
        Answer::new(4, OTHER),
        Answer::new(5, ONE).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1002]).await;
    receives(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into(), newer_than(4)]).await;
}

#[tokio::test]
async fn a_leaderless_answer_does_not_replace_endpoints() {
    let leaderless = |body| Answer { led: false, ..Answer::new(0, body) };
    let agent = Scripted::start([Answer::new(10, ONE), leaderless(NONE)]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    assert_eq!(is_stale(&watch).await, "consul has no leader");
    never_empty.end().await;
}

#[tokio::test]
async fn a_leaderless_answer_is_used_if_there_is_no_other() {
    let leaderless = |body| Answer { led: false, ..Answer::new(0, body) };
    let agent = Scripted::start([leaderless(NONE), leaderless(ONE).late(), leaderless(NONE)]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    assert_eq!(is_pending(&watch).await, "consul has no leader");
    sees(&mut watch, &[1001]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let queried_again = async || (agent.health_queries().len() > 3).then_some(());
    eventually("another query", queried_again).await;
    assert_eq!(is_stale(&watch).await, "consul has no leader");
    never_empty.end().await;
}

#[tokio::test]
async fn an_empty_answer_with_a_lower_index_is_held() {
    let agent = Scripted::start([
        Answer::new(10, ONE),
        Answer::new(4, NONE),
        Answer::new(5, OTHER).late(),
        Answer::new(5, OTHER).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    let why = is_stale(&watch).await;
    assert!(why.contains("lost its data"), "{why}");
    assert_eq!(ports(&watch.current()), [1001]);
    watch.changed().await;
    assert_eq!(ports(&watch.current()), [1002], "nothing was published in between");
}

/// An agent that restarted with its data first repeats its last answer. Then it considers every
/// instance critical until it has checked it.
#[tokio::test]
async fn an_empty_answer_soon_after_a_failure_is_held() {
    let agent = Scripted::start([
        Answer::new(10, ONE),
        Answer { status: 500, ..Answer::new(1, "No cluster leader") },
        Answer::new(10, ONE),
        Answer::new(13, NONE),
        Answer::new(14, OTHER).late(),
        Answer::new(14, OTHER).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    watch.changed().await;
    assert_eq!(ports(&watch.current()), [1002], "nothing was published in between");
}

#[tokio::test]
async fn an_empty_answer_with_a_higher_index_is_published() {
    let last_left = Answer::new(11, NONE);
    let agent = Scripted::start([Answer::new(10, ONE), last_left.clone(), last_left.never()]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    sees(&mut watch, &[]).await;
    assert!(matches!(watch.status(), Status::Live { .. }));
}

#[tokio::test]
async fn watches_of_a_service_share_one_query() {
    let agent = Scripted::start([Answer::new(10, ONE), Answer::new(11, OTHER).never()]).await;
    let registry = registry(agent.settings());
    let mut first = registry.resolver.watch("user");
    let mut second = registry.resolver.watch("user");
    sees(&mut first, &[1001]).await;
    sees(&mut second, &[1001]).await;
    drop(first);
    receives(&agent, &[AT_ONCE.into(), newer_than(10)]).await;
    drop(second);
    let mut third = registry.resolver.watch("user");
    sees(&mut third, &[]).await;
    receives(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into()]).await;
}

#[tokio::test]
async fn a_service_name_is_escaped_in_the_query() {
    let agent = Scripted::start([Answer::new(10, NONE).never()]).await;
    let settings = agent.settings().datacenter("a&b".to_owned());
    let registry = registry(settings);
    let _watch = registry.resolver.watch("../user?x#");
    let expected = "/v1/health/service/%2E%2E%2Fuser%3Fx%23?passing&stale&dc=a%26b";
    receives(&agent, &[expected.to_owned()]).await;
}

#[tokio::test]
async fn an_unchanged_set_is_not_published_again() {
    let agent = Scripted::start([
        Answer::new(10, ONE),
        Answer::new(11, ONE),
        Answer::new(12, OTHER).late(),
        Answer::new(12, OTHER).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    watch.changed().await;
    assert_eq!(ports(&watch.current()), [1002], "nothing was published in between");
    assert_eq!(agent.health_queries()[..3], [AT_ONCE.to_owned(), newer_than(10), newer_than(11)]);
}

#[tokio::test]
async fn an_answer_may_take_as_long_as_consuls_jittered_wait() {
    let agent = Scripted::answering(|request| {
        let answer = Answer::new(10, ONE);
        let Some((_, wait)) = request.path.split_once("&wait=") else { return answer };
        let wait: u64 = wait.trim_end_matches("ms").parse().unwrap();
        answer.after(Duration::from_millis(wait * 17 / 16))
    })
    .await;
    // The time that Consul adds is longer than the timeout.
    let (wait, timeout) = (Duration::from_secs(6), Duration::from_millis(250));
    let registry = registry(agent.settings().wait(wait).timeout(timeout));
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    let (once, again) = (AT_ONCE.to_owned(), newer_than(10));
    receives(&agent, &[once, again.clone(), again]).await;
    assert!(matches!(watch.status(), Status::Live { .. }));
}

#[tokio::test]
async fn a_slow_agent_is_followed() {
    let slow = Duration::from_millis(700);
    let agent = Scripted::start([
        Answer::new(10, ONE).after(slow),
        Answer::new(11, OTHER).after(slow),
        Answer::new(12, ONE).after(slow),
        Answer::new(12, ONE).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    for expected in [1001, 1002, 1001] {
        watch.changed().await;
        assert_eq!(ports(&watch.current()), [expected]);
        assert!(matches!(watch.status(), Status::Live { .. }));
    }
}

#[tokio::test]
async fn the_age_of_a_lagging_answer_is_reported() {
    let lagging = Answer { last_contact: 60_000, ..Answer::new(10, ONE) };
    let agent =
        Scripted::start([lagging, Answer::new(11, OTHER).late(), Answer::new(11, OTHER).never()]);
    let agent = agent.await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let age = |watch: &Watch| watch.status().age(Instant::now()).unwrap();
    watch.changed().await;
    assert!(age(&watch) >= Duration::from_secs(60), "{:?}", age(&watch));
    watch.current();
    watch.changed().await;
    assert!(age(&watch) < Duration::from_secs(30), "{:?}", age(&watch));
}

#[tokio::test]
async fn a_watch_outlives_its_registry_and_ends_its_task() {
    let tasks = || Handle::current().metrics().num_alive_tasks();
    let news = Answer::new(11, OTHER);
    let agent = Scripted::start([Answer::new(10, ONE), news.clone().late(), news.never()]).await;
    let before = tasks();
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    drop(registry);
    sees(&mut watch, &[1002]).await;
    drop(watch);
    eventually("all tasks have ended", async || (tasks() == before).then_some(())).await;
}
