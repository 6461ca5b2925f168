//! Future of a call.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{Classify, Error, Permit, Rejected};

pin_project! {
    /// Future of a [`CircuitBreakerService`](super::CircuitBreakerService). Dropping it returns the
    /// permit.
    #[derive(Debug)]
    pub struct ResponseFuture<F, P, Request> {
        #[pin]
        stage: Stage<F, P>,
        request: PhantomData<fn(Request)>,
    }
}

pin_project! {
    #[project = StageProjection]
    #[derive(Debug)]
    enum Stage<F, P> {
        Admitted { #[pin] call: F, permit: Option<Permit>, policy: P },
        Rejected { rejected: Rejected },
    }
}

impl<F, P, Request> ResponseFuture<F, P, Request> {
    pub(super) fn admitted(call: F, permit: Permit, policy: P) -> Self {
        let permit = Some(permit);
        Self { stage: Stage::Admitted { call, permit, policy }, request: PhantomData }
    }

    pub(super) fn rejected(rejected: Rejected) -> Self {
        Self { stage: Stage::Rejected { rejected }, request: PhantomData }
    }
}

impl<F, P, Request, Response, E> Future for ResponseFuture<F, P, Request>
where
    F: Future<Output = Result<Response, E>>,
    P: Classify<Request, Response, E>,
{
    type Output = Result<P::Response, Error<E>>;

    #[expect(clippy::expect_used, reason = "a finished future is not polled again")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().stage.project() {
            StageProjection::Admitted { call, permit, policy } => {
                let result = ready!(call.poll(cx));
                let permit = permit.take().expect("polled after it was ready");
                Poll::Ready(policy.answered(permit, result, Instant::now()).map_err(Error::Inner))
            }
            StageProjection::Rejected { rejected } => Poll::Ready(Err(Error::Rejected(*rejected))),
        }
    }
}
