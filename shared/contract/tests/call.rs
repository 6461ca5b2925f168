//! The context of a call follows its task, and only its task.

use std::time::Duration;

use gantry_contract::{CallContext, Caller};
use tokio::time::Instant;

fn context(request_id: &str) -> CallContext {
    CallContext {
        deadline: Some(Instant::now() + Duration::from_secs(1)),
        request_id: request_id.into(),
        caller: Caller::Anonymous,
    }
}

fn current_id() -> Option<String> {
    CallContext::current().map(|context| context.request_id.to_string())
}

#[tokio::test]
async fn it_is_there_within_its_scope_and_gone_after_it() {
    assert_eq!(current_id(), None);
    let within = context("a")
        .scope(async {
            tokio::task::yield_now().await;
            current_id()
        })
        .await;
    assert_eq!(within.as_deref(), Some("a"));
    assert_eq!(current_id(), None);
}

#[tokio::test]
async fn an_inner_scope_hides_the_outer_one() {
    let ids = context("outer")
        .scope(async {
            let inner = context("inner").scope(async { current_id() }).await;
            (inner, current_id())
        })
        .await;
    assert_eq!(ids, (Some("inner".to_owned()), Some("outer".to_owned())));
}

#[tokio::test]
async fn a_spawned_task_does_not_inherit_it() {
    let spawned =
        context("a").scope(async { tokio::spawn(async { current_id() }).await.unwrap() }).await;
    assert_eq!(spawned, None);
}
