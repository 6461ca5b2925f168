//! Ends a call at its deadline: the earlier of the caller's `grpc-timeout` and the contract's
//! timeout. Also ends it when its connection has to end: at the end of a drain, or of the grace
//! period of an old connection.
//!
//! The handler's future or stream is dropped, and the caller gets DEADLINE_EXCEEDED or UNAVAILABLE.
//! Work that must not stop halfway, such as a commit, must protect itself.

mod alarm;
mod timeout;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use gantry_contract::{Failure, GantryReason};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tonic::{Code, Status};

use self::alarm::{Alarm, Limit, Over};
use super::admission::Admission;
use crate::{
    call::{Routed, Timed},
    status::trailers,
};

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
    type Future = Admission<TimedFuture<S::Future>, TimedBody<R>>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let received = routed.call.received;
        let wanted = match timeout::read(routed.http.headers()) {
            Ok(wanted) => wanted,
            Err(malformed) => {
                return Admission::refuse(Failure::new(
                    Code::InvalidArgument,
                    GantryReason::MalformedMetadata,
                    malformed.to_string(),
                ));
            }
        };
        // A timeout beyond the range of the clock counts as no timeout.
        let limit =
            [wanted, routed.method.timeout()].into_iter().flatten().min().and_then(|granted| {
                Some(Limit { deadline: received.checked_add(granted)?, granted })
            });
        if let Some(limit) = limit {
            // Cannot fail: only this layer sets it, once per call.
            let _ = routed.call.deadline.set(limit.deadline);
            if limit.is_over() {
                return Admission::refuse(Over::Late(limit));
            }
        }
        let alarm = Alarm::new(Arc::clone(&routed.call), limit);
        Admission::pass(TimedFuture { inner: Some(self.inner.call(routed)), alarm })
    }
}

pin_project! {
    /// Future of the response head, dropped at the deadline.
    pub(crate) struct TimedFuture<F> {
        #[pin]
        inner: Option<F>,
        #[pin]
        alarm: Alarm,
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
        if let Poll::Ready(Ok(response)) = inner.poll(cx) {
            let alarm = Some(this.alarm.again());
            return Poll::Ready(Ok(response.map(|inner| TimedBody { inner: Some(inner), alarm })));
        }
        this.alarm.poll(cx).map(|over| {
            this.inner.set(None);
            Ok(Status::from(over).into_http())
        })
    }
}

pin_project! {
    /// Response body that ends with a status at the deadline.
    pub(crate) struct TimedBody<B> {
        #[pin]
        inner: Option<B>,
        // None if the call was refused: there is no body either.
        #[pin]
        alarm: Option<Alarm>,
    }
}

impl<B> Default for TimedBody<B> {
    fn default() -> Self {
        Self { inner: None, alarm: None }
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
        let (Some(inner), Some(alarm)) =
            (this.inner.as_mut().as_pin_mut(), this.alarm.as_pin_mut())
        else {
            return Poll::Ready(None);
        };
        let polled = inner.poll_frame(cx);
        let over = match &polled {
            Poll::Pending => match alarm.poll(cx) {
                Poll::Ready(over) => Some(over),
                Poll::Pending => None,
            },
            // A stream that always has data never polls the timer, so check the deadline here.
            Poll::Ready(Some(Ok(frame))) if frame.is_data() => alarm.late(),
            Poll::Ready(_) => None,
        };
        let Some(over) = over else {
            return polled;
        };
        this.inner.set(None);
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&over.into())))))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Body<Data = Bytes>> Timed for TimedBody<B> {
    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeaderMap> {
        let mut this = self.project();
        let Some(alarm) = this.alarm.as_pin_mut() else { return Poll::Pending };
        let over = ready!(alarm.poll(cx));
        this.inner.set(None);
        Poll::Ready(trailers(&over.into()))
    }
}
