//! Deadline of the call that uses the database.
//!
//! A handler's deadline travels with its task in the
//! [`CallContext`](gantry_contract::CallContext). It bounds the wait for a connection, the statements
//! and the repetitions of a unit of work. It never cuts a COMMIT.

use std::future::Future;

use gantry_contract::CallContext;
use gantry_resilience::deadline::Deadline;

use crate::error::DeadlineExceeded;

/// Returns the deadline of the call of this task, if it has one.
pub(crate) fn current() -> Option<Deadline> {
    CallContext::current()?.deadline.map(Deadline::at)
}

/// Waits for `future` until the deadline.
///
/// # Errors
/// The future's own, or [`DeadlineExceeded`].
pub(crate) async fn within<T>(
    deadline: Option<Deadline>,
    future: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let Some(deadline) = deadline else { return future.await };
    match tokio::time::timeout_at(deadline.instant(), future).await {
        Ok(result) => result,
        Err(_elapsed) => Err(DeadlineExceeded.into()),
    }
}
