//! Response body that records its call when it ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{breaker::Permit, state::Outcome};

pin_project! {
    /// Body that holds a call's permit until it ends: with its last frame or its trailers (a success), an
    /// error (a failure), or by being dropped.
    #[derive(Debug)]
    pub struct RecordedBody<B> {
        #[pin]
        inner: B,
        recorder: Option<Recorder>,
    }
}

/// Permit of a call, and what an unread body means.
#[derive(Debug)]
struct Recorder {
    /// `None` once recorded.
    permit: Option<Permit>,
    /// Outcome if the body is never read.
    unread: Outcome,
    read: bool,
}

impl<B: Body> RecordedBody<B> {
    /// Wraps a body: its end records the call. A body dropped unread records `unread`; one dropped
    /// half read counts as given up.
    pub fn new(inner: B, permit: Permit, unread: Outcome) -> Self {
        let recorder = Recorder { permit: Some(permit), unread, read: false };
        if inner.is_end_stream() {
            // The body is empty, so the outcome is known.
            recorder.record(Outcome::Success);
            return Self::known(inner);
        }
        Self { inner, recorder: Some(recorder) }
    }
}

impl<B> RecordedBody<B> {
    /// Wraps the body of a call that is already recorded.
    pub fn known(inner: B) -> Self {
        Self { inner, recorder: None }
    }
}

impl Recorder {
    fn record(mut self, outcome: Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.record(outcome, Instant::now());
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.read
            && let Some(permit) = self.permit.take()
        {
            permit.record(self.unread, Instant::now());
        }
    }
}

impl<B: Body> Body for RecordedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        if let Some(recorder) = this.recorder.as_mut() {
            recorder.read = true;
        }
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let over = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if over && let Some(recorder) = this.recorder.take() {
            recorder.record(match &frame {
                Some(Ok(_)) | None => Outcome::Success,
                Some(Err(_)) => Outcome::Failed,
            });
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
