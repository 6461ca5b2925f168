//! Plain HTTP: the status says how a call went, once the body is there.

use std::time::Duration;

use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::{
    body::RecordedBody,
    breaker::Permit,
    classify::{Classify, ClassifyEnd, Probe},
    state::Outcome,
};
use crate::deadline::Deadline;

/// Classifies by the status of the response. Rules:
/// - a server error is a failure, except 501 and 505, which say what the server cannot do
///   and not that it is broken; 429 is neutral, since it sheds load; all else succeeds;
/// - a body that breaks off is a failure. One that nobody read says what the status says,
///   and one that was given up half read says nothing;
/// - what an error means is for the closure to say: the connection's are failures, but a
///   [`bulkhead`](crate::bulkhead)'s refusal, say, is neutral;
/// - the request's [`Deadline`] extension says when the call is [due](Permit::due): given
///   up later, it failed. Not so where the caller left less than half of the usual
///   [`timeout`](Self::timeout).
///
/// A [`Probe`] is marked in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct HttpStatus<F> {
    errors: F,
    timeout: Option<Duration>,
}

impl<F> HttpStatus<F> {
    /// Classifies errors by this function.
    pub fn new<E>(errors: F) -> Self
    where
        F: Fn(&E) -> Outcome,
    {
        Self { errors, timeout: None }
    }

    /// How long these calls are usually given; any time is fair where this is not said.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout: Some(timeout), ..self }
    }
}

impl<F, A, B, E> Classify<Request<A>, Response<B>, E> for HttpStatus<F>
where
    F: Fn(&E) -> Outcome,
    B: Body,
{
    type Response = Response<RecordedBody<B, HttpEnd>>;

    fn admitted(&self, request: &mut Request<A>, permit: &mut Permit, now: Instant) {
        if permit.is_probe() {
            request.extensions_mut().insert(Probe);
        }
        if let Some(deadline) = request.extensions().get::<Deadline>() {
            let fair = self.timeout.unwrap_or_default() / 2;
            if deadline.left(now).is_some_and(|left| left >= fair) {
                permit.due(*deadline);
            }
        }
    }

    fn answered(
        &self,
        mut permit: Permit,
        result: Result<Response<B>, E>,
        now: Instant,
    ) -> Result<Self::Response, E> {
        permit.answered(now);
        match result {
            Ok(response) => {
                let outcome = by_status(response.status());
                Ok(response.map(|body| match outcome {
                    Outcome::Success => RecordedBody::new(body, permit, HttpEnd, outcome),
                    known => {
                        permit.record(known, now);
                        RecordedBody::known(body)
                    }
                }))
            }
            Err(error) => {
                permit.record((self.errors)(&error), now);
                Err(error)
            }
        }
    }
}

fn by_status(status: StatusCode) -> Outcome {
    match status {
        StatusCode::TOO_MANY_REQUESTS => Outcome::Neutral,
        StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Outcome::Success,
        status if status.is_server_error() => Outcome::Failed,
        _ => Outcome::Success,
    }
}

/// The end of an HTTP body: success where it was reached.
#[derive(Clone, Copy, Debug)]
pub struct HttpEnd;

impl<E> ClassifyEnd<E> for HttpEnd {
    fn ended(&self, _: Option<&HeaderMap>) -> Outcome {
        Outcome::Success
    }

    fn failed(&self, _: &E) -> Outcome {
        Outcome::Failed
    }
}
