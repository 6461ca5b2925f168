//! Layer.

use std::sync::Arc;

use tower::Layer;

use super::{Budget, Policy, Retry};

/// Layer that retries failed calls. Put it inside the layers that bound the whole call (deadline,
/// circuit breaker) and outside of the layer that picks an endpoint.
#[derive(Debug)]
pub struct RetryLayer<P> {
    policy: Policy,
    budget: Arc<Budget>,
    replay: Arc<P>,
}

impl<P> RetryLayer<P> {
    /// Creates a layer. All layers that call the same service share its `budget`.
    pub fn new(policy: Policy, budget: Arc<Budget>, replay: P) -> Self {
        Self { policy, budget, replay: Arc::new(replay) }
    }
}

impl<S, P> Layer<S> for RetryLayer<P> {
    type Service = Retry<S, P>;

    fn layer(&self, inner: S) -> Self::Service {
        Retry::new(inner, self.policy, Arc::clone(&self.budget), Arc::clone(&self.replay))
    }
}

impl<P> Clone for RetryLayer<P> {
    fn clone(&self) -> Self {
        Self {
            policy: self.policy,
            budget: Arc::clone(&self.budget),
            replay: Arc::clone(&self.replay),
        }
    }
}
