//! Events of a channel, for metrics.

use std::{fmt, net::SocketAddr, time::Duration};

use gantry_resilience::{circuit_breaker::Transition, ejection::Ejected};
use tonic::Code;

/// Receiver of a channel's events. Every method does nothing by default.
///
/// Called on the tasks that make the calls: it must not block or panic.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// A logical call ended, with all of its attempts.
    fn call(&self, _ended: &CallEnded<'_>) {}

    /// An attempt ended. Includes unexecuted attempts that are repeated at once, and attempts of a
    /// hedged call that lost (`CANCELLED`).
    fn attempt(&self, _ended: &AttemptEnded<'_>) {}

    /// A call is retried after this wait.
    fn retry(&self, _service: &str, _method: &str, _after: Duration) {}

    /// A hedged call starts another attempt beside the open ones.
    fn hedge(&self, _service: &str, _method: &str) {}

    /// The circuit breaker of the service changed its state.
    fn breaker(&self, _service: &str, _transition: &Transition) {}

    /// An endpoint was ejected.
    fn ejected(&self, _service: &str, _ejected: &Ejected<SocketAddr>) {}
}

/// Ended logical call.
#[derive(Clone, Copy, Debug)]
pub struct CallEnded<'a> {
    /// The name of the service that was called.
    pub service: &'a str,
    /// Path of the method: `/shop.user.v1.UserService/GetUser`.
    pub method: &'a str,
    /// Status; `CANCELLED` if the caller dropped the call.
    pub code: Code,
    /// Number of attempts that were or may have been sent.
    pub attempts: u32,
    /// Duration of the call.
    pub took: Duration,
}

/// Ended attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptEnded<'a> {
    /// The name of the service that was called.
    pub service: &'a str,
    /// The path of the method.
    pub method: &'a str,
    /// Endpoint that it was sent to.
    pub endpoint: SocketAddr,
    /// Status; `None` if it was certainly not executed.
    pub code: Option<Code>,
    /// Duration from the pick of the endpoint to the end of the attempt.
    pub took: Duration,
}
