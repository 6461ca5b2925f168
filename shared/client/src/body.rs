//! The body of a response: it ends the call, in its trailers as a rule.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use gantry_resilience::deadline::Deadline;
use http::Uri;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};
use tonic::Code;
use tracing::Span;

use crate::{
    error::{About, Error, chain},
    head,
    pool::Lease,
    trace,
};

/// A response's body. It holds its stream on the connection until its trailers have
/// arrived, it has failed, or it is dropped; a body that is dropped before cancels the call.
pub struct ResponseBody {
    inner: Incoming,
    timer: Pin<Box<Sleep>>,
    /// When the last message arrived, where silence is limited.
    heard: Instant,
    /// Taken when the call has ended.
    ending: Option<Ending>,
}

/// What the end of a call needs.
pub(crate) struct Ending {
    pub(crate) lease: Lease,
    pub(crate) span: Span,
    pub(crate) path: Uri,
    pub(crate) started: Instant,
    pub(crate) attempts: u32,
    pub(crate) deadline: Deadline,
    /// The longest silence of a stream.
    pub(crate) silence: Option<Duration>,
}

impl ResponseBody {
    /// `code` is the status of a response that has come to its end with its head.
    pub(crate) fn new(
        inner: Incoming,
        timer: Pin<Box<Sleep>>,
        ending: Ending,
        code: Option<Code>,
    ) -> Self {
        let mut body = Self { inner, timer, heard: Instant::now(), ending: Some(ending) };
        if let Some(code) = code {
            body.end(code);
        }
        body
    }

    fn end(&mut self, code: Code) -> Option<Ending> {
        let ending = self.ending.take()?;
        trace::ended(&ending.span, code);
        Some(ending)
    }

    fn fail(&mut self, error: impl FnOnce(&About<'_>) -> Error) -> Option<Error> {
        let ending = self.ending.take()?;
        let error = error(&About {
            service: ending.lease.service(),
            path: ending.path.path(),
            attempts: ending.attempts,
            endpoint: Some(ending.lease.address()),
            started: ending.started,
            left: ending.deadline.left(Instant::now()),
        });
        trace::ended(&ending.span, error.code());
        Some(error)
    }

    /// Whether time is up; else the task is woken when it may be.
    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        while self.timer.as_mut().poll(cx).is_ready() {
            let Some(ending) = &self.ending else { return false };
            // The timer may stand where silence would have ended before the last message.
            let until = ending.silence.map_or(ending.deadline, |silence| {
                ending.deadline.min(Deadline::after(self.heard, silence))
            });
            if until.left(Instant::now()).is_none() {
                return true;
            }
            self.timer.as_mut().reset(until.instant());
        }
        false
    }

    fn poll_inner(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Pending if self.is_late(cx) => {
                return Poll::Ready(self.fail(|about| about.unanswered()).map(Err));
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => {
                // No trailers: what that means is for the reader to say.
                self.end(Code::Unknown);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                let late = self.is_late(cx);
                let failed = self.fail(|about| {
                    if late { about.unanswered() } else { about.outcome_unknown(&chain(&error)) }
                });
                return Poll::Ready(failed.map(Err));
            }
        };
        self.heard = Instant::now();
        let mut trailers = match frame.into_trailers() {
            Err(data) => return Poll::Ready(Some(Ok(data))),
            Ok(trailers) => trailers,
        };
        head::sanitize(&mut trailers);
        let code = head::grpc_code(&trailers).unwrap_or(Code::Unknown);
        let late = |ending: &Ending| head::is_our_deadline(code, ending.deadline, self.heard);
        if self.ending.as_ref().is_some_and(late) {
            return Poll::Ready(self.fail(|about| about.unanswered()).map(Err));
        }
        self.end(code);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.ending.is_none() {
            return Poll::Ready(None);
        }
        this.poll_inner(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ending.is_none() || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        // The reader went away before the end.
        self.end(Code::Cancelled);
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody")
            .field("ended", &self.ending.is_none())
            .finish_non_exhaustive()
    }
}
