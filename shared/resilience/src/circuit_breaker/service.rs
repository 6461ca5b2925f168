//! The service.

use std::task::{Context, Poll};

use tokio::time::Instant;
use tower::Service;

use super::{CircuitBreaker, Classify, Error, ResponseFuture};

/// Calls a service only where its breaker lets it. The readiness is the service's own:
/// the breaker rejects in `call`, when the call is made.
#[derive(Clone, Debug)]
pub struct CircuitBreakerService<S, P> {
    inner: S,
    breaker: CircuitBreaker,
    policy: P,
}

impl<S, P> CircuitBreakerService<S, P> {
    /// Puts this breaker around the service.
    pub fn new(inner: S, breaker: CircuitBreaker, policy: P) -> Self {
        Self { inner, breaker, policy }
    }

    /// The breaker.
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
