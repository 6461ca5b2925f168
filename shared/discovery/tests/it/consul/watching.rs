//! How a watch asks, and what it believes.

use std::time::Duration;

use gantry_discovery::{Status, consul::Settings};
use tokio::time::sleep;

use super::{
    NeverEmpty, eventually, is_pending, is_stale, registry,
    scripted::{Answer, Scripted},
};
use crate::contract::{ports, sees};

const NONE: &str = "[]";
const ONE: &str = r#"[{"Node":{"Address":"127.0.0.1"},
    "Service":{"ID":"a","Address":"127.0.0.1","Port":1001}}]"#;
const OTHER: &str = r#"[{"Node":{"Address":"127.0.0.1"},
    "Service":{"ID":"b","Address":"","Port":1002}}]"#;

const AT_ONCE: &str = "/v1/health/service/user?passing&stale";

fn newer_than(index: u64) -> String {
    format!("{AT_ONCE}&index={index}")
}

async fn was_asked(agent: &Scripted, expected: &[String]) {
    let asked = async || (agent.asked().len() >= expected.len()).then(|| agent.asked());
    assert_eq!(eventually("everything is asked", asked).await, expected);
}

#[tokio::test]
async fn the_index_of_an_error_is_never_taken_and_the_next_answer_is_wanted_at_once() {
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
    was_asked(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into(), newer_than(11)]).await;
}

#[tokio::test]
async fn an_index_that_goes_backwards_is_forgotten() {
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
    was_asked(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into(), newer_than(4)]).await;
}

#[tokio::test]
async fn what_a_server_without_a_leader_says_replaces_nothing() {
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
async fn what_a_server_without_a_leader_says_is_better_than_nothing() {
    let leaderless = |body| Answer { led: false, ..Answer::new(0, body) };
    let agent = Scripted::start([leaderless(NONE), leaderless(ONE).late(), leaderless(NONE)]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    assert_eq!(is_pending(&watch).await, "consul has no leader");
    sees(&mut watch, &[1001]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let asked_again = async || (agent.asked().len() > 3).then_some(());
    eventually("it is asked again", asked_again).await;
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
    assert_eq!(ports(&watch.current()), [1002], "nothing was told in between");
}

/// An agent that restarted with its data first repeats its last answer, then calls
/// every instance critical until it has checked it.
#[tokio::test]
async fn an_empty_answer_soon_after_a_failure_is_held_even_with_others_in_between() {
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
    assert_eq!(ports(&watch.current()), [1002], "nothing was told in between");
}

#[tokio::test]
async fn an_empty_answer_with_a_higher_index_is_told_at_once() {
    let last_left = Answer::new(11, NONE);
    let agent = Scripted::start([Answer::new(10, ONE), last_left, last_left.never()]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    sees(&mut watch, &[]).await;
    assert!(matches!(watch.status(), Status::Live { .. }));
}

#[tokio::test]
async fn answers_that_come_at_once_without_news_do_not_become_a_busy_loop() {
    let agent = Scripted::start([Answer::new(10, ONE)]).await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    sleep(Duration::from_millis(2500)).await;
    let asked = agent.asked().len();
    assert!(asked <= 5, "asked {asked} times");
}

#[tokio::test]
async fn an_answer_that_is_nonsense_ends_nothing() {
    let agent = Scripted::start([
        Answer::new(1, "<html>"),
        Answer { status: 404, ..Answer::new(1, "not here") }.late(),
        Answer::new(10, ONE),
        Answer::new(10, ONE).never(),
    ])
    .await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert!(why.starts_with("consul was not understood: "), "{why}");
    sees(&mut watch, &[1001]).await;
    assert!(matches!(watch.status(), Status::Live { .. }));
}

#[tokio::test]
async fn all_watches_of_a_service_share_one_question_and_end_it_with_the_last() {
    let agent = Scripted::start([Answer::new(10, ONE), Answer::new(11, OTHER).never()]).await;
    let registry = registry(agent.settings());
    let mut first = registry.resolver.watch("user");
    let mut second = registry.resolver.watch("user");
    sees(&mut first, &[1001]).await;
    sees(&mut second, &[1001]).await;
    drop(first);
    was_asked(&agent, &[AT_ONCE.into(), newer_than(10)]).await;
    drop(second);
    let mut third = registry.resolver.watch("user");
    sees(&mut third, &[]).await;
    was_asked(&agent, &[AT_ONCE.into(), newer_than(10), AT_ONCE.into()]).await;
}

#[tokio::test]
async fn a_name_cannot_break_out_of_the_question() {
    let agent = Scripted::start([Answer::new(10, NONE).never()]).await;
    let settings = Settings { datacenter: Some("a&b".to_owned()), ..agent.settings() };
    let registry = registry(settings);
    let _watch = registry.resolver.watch("../user?x#");
    let expected = "/v1/health/service/%2E%2E%2Fuser%3Fx%23?passing&stale&dc=a%26b";
    was_asked(&agent, &[expected.to_owned()]).await;
}
