//! The body of a response as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame};
use tonic::Status;

use crate::upload::Uploading;

/// A body on its way. What is read makes room for more; dropped before its end, it resets the
/// stream, and what had arrived makes room for other calls.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// Nothing but trailers can follow.
    is_read: bool,
    /// The request may take longer than its response begins. It ends with it, and by itself
    /// where the stream fails.
    upload: Option<Uploading>,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream, upload: Option<Uploading>) -> Self {
        Self { stream, is_read: false, upload }
    }

    /// Why the request's own body broke off, if it did.
    pub(crate) fn broken_request(&self) -> Option<Status> {
        self.upload.as_ref()?.failure()
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, h2::Error>> {
        if !self.is_read {
            if let Some(data) = ready!(self.stream.poll_data(cx)).transpose()? {
                // Cannot fail: no more is given back than has arrived.
                let _ = self.stream.flow_control().release_capacity(data.len());
                return Poll::Ready(Ok(Some(Frame::data(data))));
            }
            self.is_read = true;
        }
        self.stream.poll_trailers(cx).map_ok(|trailers| trailers.map(Frame::trailers))
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        let next = ready!(this.poll_next(cx));
        if matches!(&next, Ok(None)) || matches!(&next, Ok(Some(frame)) if frame.is_trailers()) {
            this.upload = None;
        }
        Poll::Ready(next.transpose())
    }
}
