//! The body of a stream of requests: its messages are followed, and each that has begun has
//! the limits of an upload.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::{Status, codegen::StdError};

use super::{
    messages::{Scan, broken},
    opening::{Opening, overloaded},
    uploads::{Uploads, Wait},
};
use crate::call::CallerHashes;

pin_project! {
    /// The body of a stream of requests.
    pub(crate) struct Requests<B> {
        #[pin]
        inner: B,
        scan: Scan,
        uploads: Arc<Uploads>,
        key: CallerHashes,
        wait: Option<Wait>,
        first: First,
    }
}

/// How the first message is awaited.
enum First {
    /// Until its time is over.
    InTime,
    /// Likewise, unless the answer has begun. The stream takes a place with it.
    Opens(Arc<Opening>),
    /// It has come.
    Come,
}

impl<B> Requests<B> {
    /// Lets the messages through that the scan does.
    pub(super) fn new(inner: B, scan: Scan, uploads: Arc<Uploads>, key: CallerHashes) -> Self {
        Self { inner, scan, uploads, key, wait: None, first: First::InTime }
    }

    /// Takes a place with the first message.
    pub(super) fn open(&mut self, opening: Arc<Opening>) {
        self.first = First::Opens(opening);
    }
}

impl<B> Body for Requests<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        let Poll::Ready(frame) = this.inner.poll_frame(cx) else {
            let partial = this.scan.partial();
            let awaits_first = match this.first {
                First::InTime => true,
                First::Opens(opening) => !opening.awaits(),
                First::Come => false,
            };
            if partial == 0 && !awaits_first {
                *this.wait = None;
                return Poll::Pending;
            }
            let wait = this.wait.get_or_insert_with(|| Wait::new(this.uploads, *this.key));
            // What has come of a message waits where the handler reads.
            return wait.poll(cx, partial, partial).map(|refused| Some(Err(refused)));
        };
        let frame = frame.transpose().map_err(broken)?;
        match frame.as_ref().and_then(Frame::data_ref) {
            Some(data) => {
                let messages = this.scan.messages();
                this.scan.data(data)?;
                // The time of one message is not that of the next.
                if this.scan.messages() != messages {
                    *this.wait = None;
                }
            }
            None => this.scan.end()?,
        }
        let ends = frame.as_ref().is_none_or(Frame::is_trailers);
        if (this.scan.messages() > 0 || ends)
            && let First::Opens(opening) = std::mem::replace(this.first, First::Come)
        {
            opening.heard().map_err(overloaded)?;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        // The end is checked in `poll_frame`: it has to be polled.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
