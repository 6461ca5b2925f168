//! Rules of the pure state machines and of their layers.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod balance;
mod bulkhead;
mod circuit_breaker;
mod deadline;
mod ejection;
mod http_stack;
mod interleavings;
mod limits;
mod retry;

use std::{fmt::Debug, future::Future, time::Duration};

use tower_test::mock::{Handle, SendResponse};

/// Returns the output of a future that needs no other event. Panics instead of hanging.
async fn at_once<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(1), future).await.unwrap()
}

/// Expects this request at a mock, and returns its response handle.
async fn sent<T: PartialEq + Debug, U>(handle: &mut Handle<T, U>, request: T) -> SendResponse<U> {
    let (sent, answer) = at_once(handle.next_request()).await.unwrap();
    assert_eq!(sent, request);
    answer
}
