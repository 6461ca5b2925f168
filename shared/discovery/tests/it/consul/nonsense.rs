//! Invalid responses of an agent.

use std::time::Duration;

use gantry_discovery::Status;
use tokio::time::timeout;

use super::{
    NeverEmpty, TEST_TIMEOUT, eventually, is_pending, is_stale, registry,
    scripted::{Answer, Scripted},
    watching::{ONE, OTHER},
};
use crate::contract::{ports, sees};

/// Checks that invalid answers between two valid ones change no endpoint and are reported as
/// `expected`.
async fn survives(bad: Answer, expected: &str) {
    let agent = Scripted::start([
        Answer::new(10, ONE),
        bad.clone(),
        bad.clone(),
        bad,
        Answer::new(11, OTHER).after(Duration::from_millis(300)),
        Answer::new(11, OTHER).never(),
    ])
    .await;
    let second = Duration::from_secs(1);
    let registry = registry(agent.settings().wait(second).timeout(second));
    let mut watch = registry.resolver.watch("user");
    sees(&mut watch, &[1001]).await;
    let never_empty = NeverEmpty::from_now_on(&watch);
    let why = is_stale(&watch).await;
    assert!(why.contains(expected), "expected {expected:?} in {why:?}");
    assert!(why.len() < 300, "{} bytes: {}", why.len(), &why[..300]);
    let changed = timeout(TEST_TIMEOUT, watch.changed()).await;
    assert!(changed.is_ok(), "{:?}", watch.status());
    assert_eq!(ports(&watch.current()), [1002], "nothing was published in between");
    let live = async || matches!(watch.status(), Status::Live { .. }).then_some(());
    eventually("it is live", live).await;
    never_empty.end().await;
}

#[tokio::test]
async fn an_answer_that_is_not_json_costs_no_endpoint() {
    survives(Answer::new(11, "<html>"), "consul API: the answer is not JSON").await;
}

#[tokio::test]
async fn a_truncated_answer_costs_no_endpoint() {
    survives(Answer::new(11, &ONE[..40]), "consul API: the answer is not JSON").await;
}

#[tokio::test]
async fn json_of_another_shape_costs_no_endpoint() {
    let other = r#"{"Node":{"Address":"127.0.0.1"}}"#;
    survives(Answer::new(11, other), "the answer is not the expected JSON: line 1").await;
}

#[tokio::test]
async fn a_huge_answer_costs_no_endpoint_and_is_not_quoted() {
    let line = format!("\"{}\"", "x".repeat(1 << 20));
    survives(Answer::new(11, line.clone()), "the answer is not the expected JSON").await;
    survives(Answer { status: 500, ..Answer::new(11, line) }, "consul answered 500: \"xxx").await;
}

#[tokio::test]
async fn an_endless_answer_costs_no_endpoint() {
    let endless = Answer { endless: true, ..Answer::new(11, " ") };
    survives(endless, "did not answer within").await;
}

#[tokio::test]
async fn an_answer_above_the_limit_costs_no_endpoint() {
    survives(Answer::new(11, " ".repeat(33 << 20)), "length limit exceeded").await;
}

#[tokio::test]
async fn another_status_than_200_costs_no_endpoint() {
    survives(
        Answer { status: 404, ..Answer::new(11, "not here") },
        "consul answered 404: not here",
    )
    .await;
    survives(Answer { status: 204, ..Answer::new(11, "") }, "consul answered 204").await;
}

#[tokio::test]
async fn an_invalid_first_answer_is_retried() {
    let good = Answer::new(10, ONE);
    let agent = Scripted::start([Answer::new(1, "<html>"), good.clone().late(), good.never()]);
    let agent = agent.await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert_eq!(why, "consul API: the answer is not JSON: line 1, column 1");
    sees(&mut watch, &[1001]).await;
}

/// An invalid index counts as none, so the queries do not block.
#[tokio::test]
async fn an_invalid_index_causes_no_busy_loop() {
    for index in ["", "soon", "-3", "1e3", "99999999999999999999"] {
        let bad = |body| Answer { index: index.to_owned(), ..Answer::new(0, body) };
        let agent = Scripted::start([bad(ONE), bad(OTHER)]).await;
        let registry = registry(agent.settings());
        let mut watch = registry.resolver.watch("user");
        sees(&mut watch, &[1002]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(
            agent.health_queries().len() <= 5,
            "{index:?}: {} queries",
            agent.health_queries().len()
        );
        assert!(matches!(watch.status(), Status::Live { .. }), "{:?}", watch.status());
    }
}

/// Consul accepts any number as a port.
#[tokio::test]
async fn an_unusable_registration_does_not_hide_others() {
    for nowhere in [r#""10.0.0.1","Port":-1"#, r#""10.0.0.1","Port":70000"#, r#""a.b","Port":1"#] {
        let two = format!(
            r#"[{{"Node":{{"Address":"127.0.0.1"}},"Service":{{"ID":"b","Address":{nowhere}}}}},{}"#,
            &ONE[1..]
        );
        let agent = Scripted::start([Answer::new(10, two.clone()), Answer::new(10, two).never()]);
        let agent = agent.await;
        let registry = registry(agent.settings());
        sees(&mut registry.resolver.watch("user"), &[1001]).await;
    }
}
