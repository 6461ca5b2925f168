//! Layer.

use tower::Layer;

use super::{CircuitBreaker, CircuitBreakerService};

/// Layer that puts a [`CircuitBreaker`] around a service.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<P> {
    breaker: CircuitBreaker,
    policy: P,
}

impl<P> CircuitBreakerLayer<P> {
    /// Creates a layer. `policy` is the [`Classify`](super::Classify) for the results. All services of
    /// one layer share the breaker.
    pub fn new(breaker: CircuitBreaker, policy: P) -> Self {
        Self { breaker, policy }
    }
}

impl<S, P: Clone> Layer<S> for CircuitBreakerLayer<P> {
    type Service = CircuitBreakerService<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        CircuitBreakerService::new(inner, self.breaker.clone(), self.policy.clone())
    }
}
