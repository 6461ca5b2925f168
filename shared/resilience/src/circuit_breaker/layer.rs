//! The layer.

use tower::Layer;

use super::{CircuitBreaker, CircuitBreakerService};

/// Puts a [`CircuitBreaker`] around a service.
#[derive(Clone, Debug)]
pub struct CircuitBreakerLayer<P> {
    breaker: CircuitBreaker,
    policy: P,
}

impl<P> CircuitBreakerLayer<P> {
    /// Puts this breaker around services; `policy` is the
    /// [`Classify`](super::Classify) that says how calls end. All services that one layer
    /// makes share the breaker.
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
