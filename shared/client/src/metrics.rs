//! Events of a channel, for metrics.

use std::{fmt, net::SocketAddr, time::Duration};

use gantry_resilience::{circuit_breaker::Transition, ejection::Ejected};
use tonic::Code;

/// Counts and measures what a channel does; every method does nothing by default.
///
/// Called on the tasks that make the calls: must not block and must not panic.
pub trait Metrics: fmt::Debug + Send + Sync {
    /// A logical call has ended, all of its attempts included.
    fn call(&self, _ended: &CallEnded<'_>) {}

    /// An attempt has ended. What was certainly not executed and is made again at once
    /// is told as well, and with `CANCELLED` what another attempt of a hedged call was
    /// faster than.
    fn attempt(&self, _ended: &AttemptEnded<'_>) {}

    /// A call will be made again after this wait.
    fn retry(&self, _service: &str, _method: &str, _after: Duration) {}

    /// Another attempt of a hedged call is made beside those that have not ended.
    fn hedge(&self, _service: &str, _method: &str) {}

    /// The circuit breaker of the service changed its state.
    fn breaker(&self, _service: &str, _transition: &Transition) {}

    /// An endpoint gets no calls for a while.
    fn ejected(&self, _service: &str, _ejected: &Ejected<SocketAddr>) {}
}

/// A logical call that has ended.
#[derive(Clone, Copy, Debug)]
pub struct CallEnded<'a> {
    /// The name of the service that was called.
    pub service: &'a str,
    /// The path of the method: `/shop.user.v1.UserService/GetUser`.
    pub method: &'a str,
    /// The status; `CANCELLED` also where the caller went away.
    pub code: Code,
    /// The attempts that were sent, or may have been.
    pub attempts: u32,
    /// From the call to its end.
    pub took: Duration,
}

/// An attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub struct AttemptEnded<'a> {
    /// The name of the service that was called.
    pub service: &'a str,
    /// The path of the method.
    pub method: &'a str,
    /// Endpoint that it was sent to.
    pub endpoint: SocketAddr,
    /// Its status; `None` where it was certainly not executed.
    pub code: Option<Code>,
    /// From the choice of the endpoint to the end of the attempt.
    pub took: Duration,
}
