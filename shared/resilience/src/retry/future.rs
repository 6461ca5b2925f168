//! Attempts of one call, one after the other.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use fastrand::Rng;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::Service;

use super::{Attempts, Budget, Decision, Replay, Verdict};
use crate::deadline::Deadline;

pin_project! {
    /// Future of [`Retry`](super::Retry).
    pub struct ResponseFuture<Req, S, P>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<S::Future, S::Response, S::Error>,
        inner: S,
        // Copy of the request while it can be sent again.
        again: Option<Req>,
        attempts: Attempts,
        deadline: Deadline,
        budget: Arc<Budget>,
        replay: Arc<P>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, Res, Err> {
        // An attempt is under way.
        Attempt { #[pin] attempt: F },
        // Waits for the next attempt after this failure.
        Backoff { #[pin] until: Sleep, failure: Option<Result<Res, Err>> },
        // Waits for the service to be ready; `until` is now the deadline.
        Readiness { #[pin] until: Sleep, failure: Option<Result<Res, Err>> },
    }
}

impl<Req, S: Service<Req>, P> ResponseFuture<Req, S, P> {
    pub(super) fn new(
        attempt: S::Future,
        inner: S,
        again: Option<Req>,
        attempts: Attempts,
        deadline: Deadline,
        budget: Arc<Budget>,
        replay: Arc<P>,
    ) -> Self {
        let state = State::Attempt { attempt };
        Self { state, inner, again, attempts, deadline, budget, replay }
    }
}

impl<Req, S, P> Future for ResponseFuture<Req, S, P>
where
    S: Service<Req>,
    P: Replay<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProjection::Attempt { attempt } => {
                    let result = ready!(attempt.poll(cx));
                    let failure = match this.replay.judge(&result) {
                        Verdict::Succeeded => {
                            this.budget.succeeded();
                            return Poll::Ready(result);
                        }
                        Verdict::Failed(failure) => failure,
                    };
                    if failure.costs() {
                        this.budget.failed();
                    }
                    let now = Instant::now();
                    let decision = this.attempts.failed(now, failure, this.budget, &mut Rng::new());
                    this.replay.decided(&result, this.attempts.previous(), decision);
                    let Decision::Retry { after } = decision else { return Poll::Ready(result) };
                    State::Backoff { until: sleep_until(now + after), failure: Some(result) }
                }
                StateProjection::Backoff { until, failure } => {
                    ready!(until.poll(cx));
                    let until = sleep_until(this.deadline.instant());
                    State::Readiness { until, failure: failure.take() }
                }
                StateProjection::Readiness { until, failure } => match this.inner.poll_ready(cx) {
                    Poll::Ready(Err(dead)) => return Poll::Ready(Err(dead)),
                    Poll::Ready(Ok(())) => {
                        let Some(request) = this.again.take() else { return give_back(failure) };
                        *this.again = this.replay.copy(&request);
                        State::Attempt { attempt: this.inner.call(request) }
                    }
                    Poll::Pending => {
                        ready!(until.poll(cx));
                        return give_back(failure);
                    }
                },
            };
            this.state.set(next);
        }
    }
}

/// Returns the last failure: no other attempt can be made.
fn give_back<Res, Err>(failure: &mut Option<Result<Res, Err>>) -> Poll<Result<Res, Err>> {
    match failure.take() {
        Some(failure) => Poll::Ready(failure),
        // Reached only if a finished future is polled again.
        None => Poll::Pending,
    }
}

impl<Req, S: Service<Req>, P> fmt::Debug for ResponseFuture<Req, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").field("attempts", &self.attempts).finish_non_exhaustive()
    }
}
