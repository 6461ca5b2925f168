//! What belongs to the call that is being served, carried with its task.
//!
//! The server sets it around the handler; the client reads it, so that an
//! outbound call inherits what is left of the inbound call's time and its
//! request id. A spawned task does not inherit it: work that outlives a call
//! has its own deadline and its own identity.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use crate::access::Caller;

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The call that is being served.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// When the caller stops waiting, where it said so.
    pub deadline: Option<Instant>,
    /// The id that ties log lines and calls together.
    pub request_id: Arc<str>,
    /// Who calls.
    pub caller: Caller,
}

impl CallContext {
    /// The context of the task, where one was set.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `future` within this context.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}
