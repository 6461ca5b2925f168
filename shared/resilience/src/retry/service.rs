//! Service.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use tokio::time::Instant;
use tower::Service;

use super::{Attempts, Budget, Policy, Replay, ResponseFuture};

/// Service that retries failed calls.
#[derive(Debug)]
pub struct Retry<S, P> {
    inner: S,
    policy: Policy,
    budget: Arc<Budget>,
    replay: Arc<P>,
}

impl<S, P> Retry<S, P> {
    pub(super) fn new(inner: S, policy: Policy, budget: Arc<Budget>, replay: Arc<P>) -> Self {
        Self { inner, policy, budget, replay }
    }
}

impl<S: Clone, P> Clone for Retry<S, P> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            policy: self.policy,
            budget: Arc::clone(&self.budget),
            replay: Arc::clone(&self.replay),
        }
    }
}

impl<Req, S, P> Service<Req> for Retry<S, P>
where
    S: Service<Req> + Clone,
    P: Replay<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<Req, S, P>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let deadline = self.replay.deadline(&request, Instant::now());
        let again = self.replay.copy(&request);
        let attempts = Attempts::new(self.policy, again.is_some(), deadline);
        let first = self.inner.call(request);
        let (budget, replay) = (Arc::clone(&self.budget), Arc::clone(&self.replay));
        // Further attempts use a clone and wait for its readiness.
        ResponseFuture::new(first, self.inner.clone(), again, attempts, deadline, budget, replay)
    }
}
