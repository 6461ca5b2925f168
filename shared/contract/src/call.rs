//! Context of the inbound call, stored in its task.
//!
//! The server sets it around the handler. The client reads it, so that an outbound call inherits
//! the remaining time and the request id of the inbound call. A spawned task does not inherit it:
//! work that outlives the call needs its own deadline and identity.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use crate::access::Caller;

tokio::task_local! {
    static CURRENT: CallContext;
}

/// Context of the inbound call.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Deadline of the caller, if it set a timeout.
    pub deadline: Option<Instant>,
    /// Id that connects log lines and calls.
    pub request_id: Arc<str>,
    /// The authenticated caller.
    pub caller: Caller,
}

impl CallContext {
    /// Returns the context of the current task, if it has one.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `future` in this context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}
