//! Classification of results: policy, apart from the mechanism.

use http::HeaderMap;
use tokio::time::Instant;

use super::{breaker::Permit, state::Outcome};

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

/// Classifies the end of a response body.
pub trait ClassifyEnd<Error> {
    /// Classifies a body that ended, with its trailers if it had any.
    fn ended(&self, trailers: Option<&HeaderMap>) -> Outcome;

    /// Classifies a body that broke off.
    fn failed(&self, error: &Error) -> Outcome;
}

/// Classifies each call by its result: for calls without a streaming body, such as sending a mail or
/// publishing a message.
///
/// ```
/// use gantry_resilience::circuit_breaker::{ByResult, Outcome};
///
/// let policy = ByResult::new(|result: Result<&(), &std::io::Error>| match result {
///     Ok(()) => Outcome::Success,
///     Err(_) => Outcome::Failed,
/// });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ByResult<F>(F);

impl<F> ByResult<F> {
    /// Creates a policy from a function.
    pub fn new<Response, Error>(classify: F) -> Self
    where
        F: Fn(Result<&Response, &Error>) -> Outcome,
    {
        Self(classify)
    }
}

impl<F, Request, Response, Error> Classify<Request, Response, Error> for ByResult<F>
where
    F: Fn(Result<&Response, &Error>) -> Outcome,
{
    type Response = Response;

    fn answered(
        &self,
        permit: Permit,
        result: Result<Response, Error>,
        now: Instant,
    ) -> Result<Response, Error> {
        permit.record((self.0)(result.as_ref()), now);
        result
    }
}
