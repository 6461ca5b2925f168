//! Service.

use std::{
    mem,
    task::{Context, Poll},
};

use tower::Service;

use super::{Bulkhead, Error, Hold, ResponseFuture};

/// Service behind a bulkhead. Its readiness is that of the inner service: a call without a slot is
/// rejected in `call`, or waits together with the ready service.
#[derive(Clone, Debug)]
pub struct BulkheadService<S, P> {
    inner: S,
    bulkhead: Bulkhead,
    policy: P,
}

impl<S, P> BulkheadService<S, P> {
    /// Wraps a service.
    pub fn new(inner: S, bulkhead: Bulkhead, policy: P) -> Self {
        Self { inner, bulkhead, policy }
    }

    /// Returns the bulkhead.
    pub fn bulkhead(&self) -> &Bulkhead {
        &self.bulkhead
    }
}

impl<S, P, Request> Service<Request> for BulkheadService<S, P>
where
    S: Service<Request> + Clone,
    P: Hold<Request, S::Response> + Clone,
{
    type Response = P::Response;
    type Error = Error<S::Error>;
    type Future = ResponseFuture<S, P, Request>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.bulkhead.try_enter() {
            Ok(slot) => ResponseFuture::called(self.inner.call(request), slot, self.policy.clone()),
            Err(_) if self.bulkhead.waits() => {
                // A clone is not ready, so the ready service goes with the call.
                let clone = self.inner.clone();
                let ready = mem::replace(&mut self.inner, clone);
                let deadline = self.policy.deadline(&request);
                let bulkhead = self.bulkhead.clone();
                let enter = Box::pin(async move { bulkhead.enter(deadline).await });
                ResponseFuture::waiting(enter, ready, request, self.policy.clone())
            }
            Err(full) => ResponseFuture::refused(full),
        }
    }
}
