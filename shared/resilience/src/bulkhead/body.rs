//! Response body that returns its slot when it ends.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::slots::Slot;

pin_project! {
    /// Body that holds a slot until it ends or is dropped.
    #[derive(Debug)]
    pub struct HeldBody<B> {
        #[pin]
        inner: B,
        slot: Option<Slot>,
    }
}

impl<B: Body> HeldBody<B> {
    /// Wraps a body that holds the slot.
    pub fn new(inner: B, slot: Slot) -> Self {
        let slot = (!inner.is_end_stream()).then_some(slot);
        Self { inner, slot }
    }
}

impl<B: Body> Body for HeldBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let over = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || this.inner.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if over {
            *this.slot = None;
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
