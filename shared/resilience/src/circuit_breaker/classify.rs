//! What a call's end says of the dependency: policy, apart from the mechanism.

use http::HeaderMap;
use tokio::time::Instant;

use super::{breaker::Permit, state::Outcome};

/// Marks the one attempt that a half-open breaker lets through: it is not repeated and
/// does not wait out a reconnect backoff. An extension of the requests that are HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe;

/// Records how the calls of a [`CircuitBreakerService`](super::CircuitBreakerService) end.
pub trait Classify<Request, Response, Error> {
    /// What the caller gets: the response, or the response around which a permit is kept
    /// until it ends ([`RecordedBody`](super::RecordedBody)).
    type Response;

    /// Looks at a call that was let through and is about to be made: to mark a probe, to
    /// say when it is due. Does nothing by default.
    fn admitted(&self, request: &mut Request, permit: &mut Permit, now: Instant) {
        let _ = (request, permit, now);
    }

    /// Records the end of the call, or keeps the permit with the response until then.
    ///
    /// # Errors
    /// The call's own.
    fn answered(
        &self,
        permit: Permit,
        result: Result<Response, Error>,
        now: Instant,
    ) -> Result<Self::Response, Error>;
}

/// Says what the end of a response's body means.
pub trait ClassifyEnd<Error> {
    /// The body ended, with these trailers if it had any.
    fn ended(&self, trailers: Option<&HeaderMap>) -> Outcome;

    /// The body broke off.
    fn failed(&self, error: &Error) -> Outcome;
}

/// Takes each result for the whole of its call: for what has no body that goes on after
/// the answer, such as sending a mail or publishing a message.
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
    /// Classifies by this function.
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
