//! Future of a call.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tower::Service;

use super::{Error, Full, Hold, Slot};

type Enter = Pin<Box<dyn Future<Output = Result<Slot, Full>> + Send>>;

pin_project! {
    /// Future of a [`BulkheadService`](super::BulkheadService). Dropping it returns its slot or leaves
    /// the queue.
    pub struct ResponseFuture<S, P, Request>
    where
        S: Service<Request>,
    {
        #[pin]
        stage: Stage<S, P, Request, S::Future>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<S, P, Request, F> {
        Waiting { enter: Enter, call: Option<(S, Request, P)> },
        Called { #[pin] call: F, held: Option<(Slot, P)> },
        Refused { full: Full },
    }
}

impl<S: Service<Request>, P, Request> ResponseFuture<S, P, Request> {
    pub(super) fn waiting(enter: Enter, service: S, request: Request, policy: P) -> Self {
        Self { stage: Stage::Waiting { enter, call: Some((service, request, policy)) } }
    }

    pub(super) fn called(call: S::Future, slot: Slot, policy: P) -> Self {
        Self { stage: Stage::Called { call, held: Some((slot, policy)) } }
    }

    pub(super) fn refused(full: Full) -> Self {
        Self { stage: Stage::Refused { full } }
    }
}

impl<S, P, Request> Future for ResponseFuture<S, P, Request>
where
    S: Service<Request>,
    P: Hold<Request, S::Response>,
{
    type Output = Result<P::Response, Error<S::Error>>;

    #[expect(clippy::expect_used, reason = "a finished future is not polled again")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Waiting { enter, call } => {
                    let slot = ready!(enter.as_mut().poll(cx)).map_err(Error::Full)?;
                    let (mut service, request, policy) =
                        call.take().expect("polled after it was ready");
                    // waiting -> called.
                    let call = service.call(request);
                    this.stage.set(Stage::Called { call, held: Some((slot, policy)) });
                }
                StageProjection::Called { call, held } => {
                    let result = ready!(call.poll(cx));
                    let (slot, policy) = held.take().expect("polled after it was ready");
                    return Poll::Ready(match result {
                        Ok(response) => Ok(policy.answered(slot, response)),
                        Err(error) => Err(Error::Inner(error)),
                    });
                }
                StageProjection::Refused { full } => {
                    return Poll::Ready(Err(Error::Full(*full)));
                }
            }
        }
    }
}

impl<S: Service<Request>, P, Request> fmt::Debug for ResponseFuture<S, P, Request> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
