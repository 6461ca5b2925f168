//! The future of a layer that either refuses a call or passes it on.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Response;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::Status;

/// Asks with the time at which the call came, which costs no look at the clock. Before that
/// refuses it, the clock is asked: on a busy machine a call may have been held up, and what
/// others took since would look like a debt from then.
pub(super) fn not_for_being_late<E>(
    received: Instant,
    admit: impl Fn(Instant) -> Result<(), E>,
) -> Result<(), E> {
    admit(received).or_else(|_| admit(Instant::now()))
}

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
