//! Answers that no agent should give.

use std::time::Duration;

use gantry_discovery::Status;
use tokio::time::timeout;

use super::{
    NeverEmpty, PATIENCE, eventually, is_pending, is_stale, registry,
    scripted::{Answer, Scripted},
    watching::{ONE, OTHER},
};
use crate::contract::{ports, sees};

/// A good answer, then this for a while, then a good answer again.
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
    let changed = timeout(PATIENCE, watch.changed()).await;
    assert!(changed.is_ok(), "{:?}", watch.status());
    assert_eq!(ports(&watch.current()), [1002], "nothing was told in between");
    let live = async || matches!(watch.status(), Status::Live { .. }).then_some(());
    eventually("it is live", live).await;
    never_empty.end().await;
}

#[tokio::test]
async fn an_answer_that_is_no_json_costs_no_endpoint() {
    survives(Answer::new(11, "<html>"), "consul was not understood: its answer is no JSON").await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_costs_no_endpoint() {
    survives(Answer::new(11, &ONE[..40]), "consul was not understood: its answer is no JSON").await;
}

#[tokio::test]
async fn json_of_another_shape_costs_no_endpoint() {
    let other = r#"{"Node":{"Address":"127.0.0.1"}}"#;
    survives(Answer::new(11, other), "its answer is not the JSON expected: line 1").await;
}

#[tokio::test]
async fn a_line_of_a_megabyte_costs_no_endpoint_and_is_not_repeated() {
    let line = format!("\"{}\"", "x".repeat(1 << 20));
    survives(Answer::new(11, line.clone()), "its answer is not the JSON expected").await;
    survives(Answer { status: 500, ..Answer::new(11, line) }, "consul says 500: \"xxx").await;
}

#[tokio::test]
async fn an_answer_that_never_ends_costs_no_endpoint() {
    let endless = Answer { endless: true, ..Answer::new(11, " ") };
    survives(endless, "gave no answer within").await;
}

#[tokio::test]
async fn an_answer_of_more_than_is_read_costs_no_endpoint() {
    survives(Answer::new(11, " ".repeat(33 << 20)), "length limit exceeded").await;
}

#[tokio::test]
async fn an_answer_of_another_kind_than_200_costs_no_endpoint() {
    survives(Answer { status: 404, ..Answer::new(11, "not here") }, "consul says 404: not here")
        .await;
    survives(Answer { status: 204, ..Answer::new(11, "") }, "consul says 204").await;
}

#[tokio::test]
async fn an_answer_that_is_nonsense_at_the_start_ends_nothing() {
    let good = Answer::new(10, ONE);
    let agent = Scripted::start([Answer::new(1, "<html>"), good.clone().late(), good.never()]);
    let agent = agent.await;
    let registry = registry(agent.settings());
    let mut watch = registry.resolver.watch("user");
    let why = is_pending(&watch).await;
    assert_eq!(why, "consul was not understood: its answer is no JSON: line 1, column 1");
    sees(&mut watch, &[1001]).await;
}

/// It counts as none, so that each answer comes at once.
#[tokio::test]
async fn an_index_that_is_no_number_is_followed_without_a_busy_loop() {
    for index in ["", "soon", "-3", "1e3", "99999999999999999999"] {
        let bad = |body| Answer { index: index.to_owned(), ..Answer::new(0, body) };
        let agent = Scripted::start([bad(ONE), bad(OTHER)]).await;
        let registry = registry(agent.settings());
        let mut watch = registry.resolver.watch("user");
        sees(&mut watch, &[1002]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(agent.asked().len() <= 5, "{index:?}: asked {} times", agent.asked().len());
        assert!(matches!(watch.status(), Status::Live { .. }), "{:?}", watch.status());
    }
}

/// Consul takes any number for a port.
#[tokio::test]
async fn one_registration_that_nobody_can_reach_hides_no_other() {
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
