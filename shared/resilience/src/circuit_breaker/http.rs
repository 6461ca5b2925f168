//! Classification of plain HTTP responses by status and body.

use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::{
    body::RecordedBody,
    breaker::Permit,
    classify::{Classify, Probe},
    state::Outcome,
};
use crate::deadline::Deadline;

/// Classifies by the status of the response. Rules:
/// - A server error is a failure, except 501 and 505, which report a missing feature. 429 is neutral,
///   since it sheds load. Every other status is a success.
/// - A body that breaks off is a failure. An unread body counts by the status. A body dropped half
///   read is neutral.
/// - The closure classifies errors: errors of the connection are failures, but a rejection by a
///   [`bulkhead`](crate::bulkhead), for example, is neutral.
/// - The request's [`Deadline`] extension sets the permit's [deadline](Permit::due), unless the caller
///   left less than half of the usual [`timeout`](Self::timeout).
///
/// A [`Probe`] is marked in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct HttpStatus<F> {
    errors: F,
    timeout: Option<Duration>,
}

impl<F> HttpStatus<F> {
    /// Creates a policy that classifies errors by this function.
    pub fn new<E>(errors: F) -> Self
    where
        F: Fn(&E) -> Outcome,
    {
        Self { errors, timeout: None }
    }

    /// Sets the usual timeout of these calls. Without it, any deadline is fair.
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
    type Response = Response<RecordedBody<B>>;

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
                    Outcome::Success => RecordedBody::new(body, permit, outcome),
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
