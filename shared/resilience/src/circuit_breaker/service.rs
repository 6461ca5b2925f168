//! Service.

use std::task::{Context, Poll};

use tokio::time::Instant;
use tower::Service;

use super::{CircuitBreaker, Classify, Error, ResponseFuture};

/// Service behind a breaker. Its readiness is that of the inner service: the breaker rejects in
/// `call`.
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S, P> {
    inner: S,
    breaker: CircuitBreaker,
    policy: P,
}

impl<S, P> CircuitBreakerService<S, P> {
    /// Wraps a service.
    pub fn new(inner: S, breaker: CircuitBreaker, policy: P) -> Self {
        Self { inner, breaker, policy }
    }

    /// Returns the breaker.
    pub fn breaker(&self) -> &CircuitBreaker {
        &self.breaker
    }
}

impl<S, P, Request> Service<Request> for CircuitBreakerService<S, P>
where
    S: Service<Request>,
    P: Classify<Request, S::Response, S::Error> + Clone,
{
    type Response = P::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S::Future, P, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let now = Instant::now();
        match self.breaker.admit(now) {
            Ok(mut permit) => {
                self.policy.admitted(&mut request, &mut permit, now);
                ResponseFuture::admitted(self.inner.call(request), permit, self.policy.clone())
            }
            Err(rejected) => ResponseFuture::rejected(rejected),
        }
    }
}
