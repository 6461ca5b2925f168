//! Classification of results: policy, apart from the mechanism.

use tokio::time::Instant;

use super::breaker::Permit;

/// Request extension that marks a probe of a half-open breaker: it is not retried and does not wait
/// for a reconnect backoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe;

/// Records the outcomes of the calls of a [`CircuitBreakerService`](super::CircuitBreakerService).
pub trait Classify<Request, Response, Error> {
    /// Response for the caller: the inner response, or one that holds the permit until its body ends
    /// ([`RecordedBody`](super::RecordedBody)).
    type Response;

    /// Prepares an admitted call: marks a probe, sets the permit's deadline. Does nothing by default.
    fn admitted(&self, request: &mut Request, permit: &mut Permit, now: Instant) {
        let _ = (request, permit, now);
    }

    /// Records the outcome, or keeps the permit in the response until its end.
    ///
    /// # Errors
    /// The call's own error.
    fn answered(
        &self,
        permit: Permit,
        result: Result<Response, Error>,
        now: Instant,
    ) -> Result<Self::Response, Error>;
}
