//! The future of a layer that either refuses a call or passes it on.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tonic::Status;

pin_project! {
    /// An answer at once, or the answer of the service inside.
    #[project = VerdictProject]
    pub(crate) enum Verdict<F, B> {
        Refused { answer: Option<Response<B>> },
        Passed { #[pin] future: F },
    }
}

impl<F, B> Verdict<F, B> {
    /// A gRPC answer without a message: the status stands in the headers.
    pub(crate) fn refuse(status: impl Into<Status>) -> Self
    where
        B: Default,
    {
        Self::answer(status.into().into_http())
    }

    pub(crate) fn answer(answer: Response<B>) -> Self {
        Self::Refused { answer: Some(answer) }
    }

    pub(crate) fn pass(future: F) -> Self {
        Self::Passed { future }
    }
}

impl<F, B> Future for Verdict<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            // Answered once: a future is not polled after it was ready.
            VerdictProject::Refused { answer } => {
                answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
            }
            VerdictProject::Passed { future } => future.poll(cx),
        }
    }
}
