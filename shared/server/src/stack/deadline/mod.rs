//! Ends a call when its time is over: the earlier of what the caller waits
//! (`grpc-timeout`) and what the contract grants the method.
//!
//! The work is dropped, head or stream, and the caller is told
//! DEADLINE_EXCEEDED. Work that must not stop halfway, a commit, protects itself.

mod timeout;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use gantry_contract::{Failure, GantryReason};
use http::Response;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::{Code, Status};
use tower::Service;

use super::verdict::Verdict;
use crate::{call::Routed, status::trailers};

#[derive(Clone, Debug)]
pub(crate) struct Deadline<S> {
    inner: S,
}

impl<S> Deadline<S> {
    pub(crate) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, B, R> Service<Routed<B>> for Deadline<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<TimedBody<R>>;
    type Error = Infallible;
    type Future = Verdict<TimedFuture<S::Future>, TimedBody<R>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, routed: Routed<B>) -> Self::Future {
        let received = routed.call.received;
        let wanted = match timeout::read(routed.http.headers()) {
            Ok(wanted) => wanted,
            Err(malformed) => {
                return Verdict::refuse(Failure::new(
                    Code::InvalidArgument,
                    GantryReason::MalformedMetadata,
                    malformed.to_string(),
                ));
            }
        };
        // A time beyond what the clock can hold is no limit.
        let limit =
            [wanted, routed.method.timeout()].into_iter().flatten().min().and_then(|granted| {
                Some(Limit { deadline: received.checked_add(granted)?, granted })
            });
        if let Some(limit) = limit {
            // This layer is the only one that sets it, once per call.
            let _ = routed.call.deadline.set(limit.deadline);
            if limit.is_over() {
                return Verdict::refuse(limit);
            }
        }
        Verdict::pass(TimedFuture { inner: Some(self.inner.call(routed)), limit, sleep: None })
    }
}

/// When a call ends, and how long it was given.
#[derive(Clone, Copy, Debug)]
struct Limit {
    deadline: Instant,
    granted: Duration,
}

impl Limit {
    fn is_over(self) -> bool {
        self.deadline <= Instant::now()
    }

    /// Waits on a clock that is only set once there is something to wait for: most
    /// calls are answered at once and never touch it.
    fn poll_over(self, mut sleep: Pin<&mut Option<Sleep>>, cx: &mut Context<'_>) -> Poll<()> {
        if sleep.is_none() {
            sleep.set(Some(sleep_until(self.deadline)));
        }
        sleep.as_pin_mut().map_or(Poll::Pending, |sleep| sleep.poll(cx))
    }
}

impl From<Limit> for Status {
    fn from(limit: Limit) -> Self {
        Failure::new(
            Code::DeadlineExceeded,
            GantryReason::DeadlineExceeded,
            format!("the call was not done within {:?}", limit.granted),
        )
        .into()
    }
}

pin_project! {
    /// The future of the answer's head; dropped when the time is over.
    pub(crate) struct TimedFuture<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        sleep: Option<Sleep>,
        limit: Option<Limit>,
    }
}

impl<F, R> Future for TimedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = Result<Response<TimedBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let limit = *this.limit;
        if let Poll::Ready(Ok(response)) = inner.poll(cx) {
            let timed = |inner| TimedBody { inner: Some(inner), sleep: None, limit };
            return Poll::Ready(Ok(response.map(timed)));
        }
        if let Some(limit) = limit
            && limit.poll_over(this.sleep, cx).is_ready()
        {
            this.inner.set(None);
            return Poll::Ready(Ok(Status::from(limit).into_http()));
        }
        Poll::Pending
    }
}

pin_project! {
    /// A body that ends with DEADLINE_EXCEEDED when the time is over.
    pub(crate) struct TimedBody<B> {
        #[pin]
        inner: Option<B>,
        #[pin]
        sleep: Option<Sleep>,
        limit: Option<Limit>,
    }
}

impl<B> Default for TimedBody<B> {
    fn default() -> Self {
        Self { inner: None, sleep: None, limit: None }
    }
}

impl<B: Body<Data = Bytes>> Body for TimedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let polled = inner.poll_frame(cx);
        let Some(limit) = *this.limit else {
            return polled;
        };
        let over = match &polled {
            Poll::Pending => limit.poll_over(this.sleep, cx).is_ready(),
            // A stream that always has more would never get to wait.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => limit.is_over(),
            Poll::Ready(_) => false,
        };
        if !over {
            return polled;
        }
        this.inner.set(None);
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&limit.into())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
