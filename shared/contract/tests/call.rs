//! The context of a call is visible in its own task only.

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
async fn a_context_exists_only_within_its_scope() {
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
async fn a_spawned_task_does_not_inherit_the_context() {
    let spawned =
        context("a").scope(async { tokio::spawn(async { current_id() }).await.unwrap() }).await;
    assert_eq!(spawned, None);
}
