//! A body whose end is the end of the call.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{breaker::Permit, classify::ClassifyEnd, state::Outcome};

pin_project! {
    /// A body that holds a call's permit until it ends: with its last frame, its trailers
    /// or an error, or dropped.
    #[derive(Debug)]
    pub struct RecordedBody<B, K> {
        #[pin]
        inner: B,
        recorder: Option<Recorder<K>>,
    }
}

/// A permit, and what is to become of it.
#[derive(Debug)]
struct Recorder<K> {
    /// There until it is recorded.
    permit: Option<Permit>,
    end: K,
    /// How the call ended if nobody reads the body.
    unread: Outcome,
    read: bool,
}

impl<B: Body, K: ClassifyEnd<B::Error>> RecordedBody<B, K> {
    /// A body at whose end it is recorded how its call went. Dropped before it was read,
    /// that is `unread`; dropped half read, the call was given up.
    pub fn new(inner: B, permit: Permit, end: K, unread: Outcome) -> Self {
        let recorder = Recorder { permit: Some(permit), end, unread, read: false };
        if inner.is_end_stream() {
            // Nobody needs to read on to know.
            recorder.record(|end| end.ended(None));
            return Self::known(inner);
        }
        Self { inner, recorder: Some(recorder) }
    }
}

impl<B, K> RecordedBody<B, K> {
    /// The body of a call whose end is already recorded.
    pub fn known(inner: B) -> Self {
        Self { inner, recorder: None }
    }
}

impl<K> Recorder<K> {
    fn record(mut self, outcome: impl FnOnce(&K) -> Outcome) {
        if let Some(permit) = self.permit.take() {
            permit.record(outcome(&self.end), Instant::now());
        }
    }
}

impl<K> Drop for Recorder<K> {
    fn drop(&mut self) {
        if !self.read
            && let Some(permit) = self.permit.take()
        {
            permit.record(self.unread, Instant::now());
        }
    }
}

impl<B: Body, K: ClassifyEnd<B::Error>> Body for RecordedBody<B, K> {
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
            recorder.record(|end| match &frame {
                Some(Ok(frame)) => end.ended(frame.trailers_ref()),
                Some(Err(error)) => end.failed(error),
                None => end.ended(None),
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
