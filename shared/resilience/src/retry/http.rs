//! Retries of plain HTTP.

use std::{fmt, marker::PhantomData, time::Duration};

use http::{HeaderName, Request, Response, StatusCode};
use tokio::time::Instant;

use super::{Failure, Pushback, Replay, Verdict};
use crate::{circuit_breaker::Probe, deadline::Deadline};

/// Request header that identifies repeated requests (an IETF draft that payment providers follow).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Retry policy for requests to an HTTP API.
///
/// - A request may be retried if its method is idempotent (RFC 9110, 9.2.2) or it carries an
///   [`IDEMPOTENCY_KEY`]. Its body must be cloneable, such as `Bytes`. A circuit breaker's [`Probe`] is
///   never retried.
/// - 502, 503 and 504 are [unavailable](Failure::unavailable), 429 is [exhausted](Failure::exhausted),
///   each with its `Retry-After`. Other error statuses are final.
/// - The given function classifies errors of the transport.
/// - The deadline is the earlier of the request's [`Deadline`] extension and the given timeout.
pub struct HttpReplay<E, F = fn(&E) -> Failure> {
    timeout: Duration,
    of_error: F,
    error: PhantomData<fn(&E)>,
}

impl<E, F: Fn(&E) -> Failure> HttpReplay<E, F> {
    /// Creates a policy. `timeout` bounds a call, all attempts included.
    pub fn new(timeout: Duration, of_error: F) -> Self {
        Self { timeout, of_error, error: PhantomData }
    }
}

impl<B, Res, E, F> Replay<Request<B>, Response<Res>, E> for HttpReplay<E, F>
where
    B: Clone,
    F: Fn(&E) -> Failure,
{
    fn copy(&self, request: &Request<B>) -> Option<Request<B>> {
        let repeatable =
            request.method().is_idempotent() || request.headers().contains_key(IDEMPOTENCY_KEY);
        let probe = request.extensions().get::<Probe>().is_some();
        (repeatable && !probe).then(|| request.clone())
    }

    fn deadline(&self, request: &Request<B>, now: Instant) -> Deadline {
        Deadline::after(now, self.timeout).earlier(request.extensions().get().copied())
    }

    fn judge(&self, result: &Result<Response<Res>, E>) -> Verdict {
        let response = match result {
            Ok(response) => response,
            Err(error) => return Verdict::Failed((self.of_error)(error)),
        };
        let pushback = Pushback::of_http(response.headers());
        Verdict::Failed(match response.status() {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Failure::unavailable(pushback),
            StatusCode::TOO_MANY_REQUESTS => Failure::exhausted(pushback),
            status if status.is_client_error() || status.is_server_error() => {
                Failure::other(pushback)
            }
            _ => return Verdict::Succeeded,
        })
    }
}

impl<E, F> fmt::Debug for HttpReplay<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpReplay").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}
