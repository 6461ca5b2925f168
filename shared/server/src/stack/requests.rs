//! Body of a request stream. Follows its messages, and applies the upload limits to each message
//! that has begun.

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
    /// Body of a request stream.
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

/// State of the wait for the first message.
enum First {
    /// Waits with a time limit.
    InTime,
    /// Waits with a time limit until the response has begun. The message takes a concurrency
    /// permit.
    Opens(Arc<Opening>),
    /// The first message arrived.
    Come,
}

impl<B> Requests<B> {
    /// Passes on the messages that `scan` accepts.
    pub(super) fn new(inner: B, scan: Scan, uploads: Arc<Uploads>, key: CallerHashes) -> Self {
        Self { inner, scan, uploads, key, wait: None, first: First::InTime }
    }

    /// Takes a concurrency permit with the first message.
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
            // A partial message is kept until the handler reads on.
            return wait.poll(cx, partial, partial).map(|refused| Some(Err(refused)));
        };
        let frame = frame.transpose().map_err(broken)?;
        match frame.as_ref().and_then(Frame::data_ref) {
            Some(data) => {
                let messages = this.scan.messages();
                this.scan.data(data)?;
                // Each message has its own time limit.
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
            opening.first_message().map_err(overloaded)?;
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        // Never report the end early: `poll_frame` must be polled to check the end.
        false
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
