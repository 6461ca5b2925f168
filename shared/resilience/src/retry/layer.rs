//! The layer.

use std::sync::Arc;

use tower::Layer;

use super::{Budget, Policy, Retry};

/// Makes failed calls of the service within again. It stands inside whatever bounds the
/// call as a whole (deadline, circuit breaker), and outside whatever chooses where an
/// attempt goes.
#[derive(Debug)]
pub struct RetryLayer<P> {
    policy: Policy,
    budget: Arc<Budget>,
    replay: Arc<P>,
}

impl<P> RetryLayer<P> {
    /// `budget` is the one of the service that is called: all layers that call the same
    /// service share it.
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
