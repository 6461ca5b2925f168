//! Future of a layer that either refuses a call or passes it on.

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

/// Tries with the arrival time first, to avoid a clock read. Before a refusal it tries again with
/// the current time: on a busy machine the call may have been delayed, and tokens taken meanwhile
/// would look like a debt at its arrival.
pub(super) fn admit_at_arrival<E>(
    received: Instant,
    admit: impl Fn(Instant) -> Result<(), E>,
) -> Result<(), E> {
    admit(received).or_else(|_| admit(Instant::now()))
}

pin_project! {
    /// Either an immediate response or the response of the inner service.
    #[project = AdmissionProject]
    pub(crate) enum Admission<F, B> {
        Refused { answer: Option<Response<B>> },
        Passed { #[pin] future: F },
    }
}

impl<F, B> Admission<F, B> {
    /// Returns a gRPC response without a message: its status is in the headers.
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

impl<F, B> Future for Admission<F, B>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            // Present: a future is not polled after completion.
            AdmissionProject::Refused { answer } => {
                answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer)))
            }
            AdmissionProject::Passed { future } => future.poll(cx),
        }
    }
}
