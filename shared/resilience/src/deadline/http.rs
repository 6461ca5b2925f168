//! Deadlines of plain HTTP calls.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tower::{Layer, Service};

use super::Deadline;

/// Layer that ends each HTTP call, its body included, at its deadline. Rules:
/// - The deadline is the earlier of this layer's timeout and the request's [`Deadline`] extension. The
///   layer sets the extension to it for the layers inside.
/// - Nothing is sent if the deadline has passed.
/// - At the deadline the call is dropped, head or body.
///
/// Put it outside of the circuit breaker, which reads from the extension whether a dropped call was
/// given up or timed out.
#[derive(Clone, Copy, Debug)]
pub struct HttpDeadlineLayer {
    timeout: Duration,
}

impl HttpDeadlineLayer {
    /// Creates a layer with a timeout for each call.
    pub fn new(timeout: Duration) -> Self {
        Self { timeout }
    }
}

impl<S> Layer<S> for HttpDeadlineLayer {
    type Service = HttpDeadline<S>;

    fn layer(&self, inner: S) -> HttpDeadline<S> {
        HttpDeadline { inner, timeout: self.timeout }
    }
}

/// Service of a [`HttpDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct HttpDeadline<S> {
    inner: S,
    timeout: Duration,
}

/// Error of a call or its body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E> {
    /// The deadline passed.
    #[error("the call was not over at its deadline, {granted:?} after it began")]
    Exceeded {
        /// Time that the call had.
        granted: Duration,
    },
    /// The inner service or the body failed.
    #[error(transparent)]
    Inner(E),
}

impl<S, A, B> Service<Request<A>> for HttpDeadline<S>
where
    S: Service<Request<A>, Response = Response<B>>,
{
    type Response = Response<Timed<B>>;
    type Error = Error<S::Error>;
    type Future = Timed<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let now = Instant::now();
        let callers = request.extensions().get().copied();
        let deadline = Deadline::after(now, self.timeout).earlier(callers);
        let left = deadline.left(now);
        let inner = left.map(|_| {
            request.extensions_mut().insert(deadline);
            self.inner.call(request)
        });
        Timed { inner, sleep: None, deadline, granted: left.unwrap_or_default() }
    }
}

pin_project! {
    /// Future of a call, then its body, until the deadline.
    #[derive(Debug)]
    pub struct Timed<T> {
        // Dropped at the deadline.
        #[pin]
        inner: Option<T>,
        // Set at the first wait: most calls need no timer.
        #[pin]
        sleep: Option<Sleep>,
        deadline: Deadline,
        granted: Duration,
    }
}

impl<T> Timed<T> {
    /// Polls the inner value, or fails once the deadline has passed.
    fn poll_in_time<R, E>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        poll: impl FnOnce(Pin<&mut T>, &mut Context<'_>) -> Poll<Result<R, E>>,
    ) -> Poll<Result<R, Error<E>>> {
        let mut this = self.project();
        if let Some(inner) = this.inner.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = poll(inner, cx) {
                return Poll::Ready(result.map_err(Error::Inner));
            }
            if this.sleep.is_none() {
                this.sleep.set(Some(sleep_until(this.deadline.instant())));
            }
            if this.sleep.as_pin_mut().is_some_and(|sleep| sleep.poll(cx).is_pending()) {
                return Poll::Pending;
            }
            this.inner.set(None);
        }
        Poll::Ready(Err(Error::Exceeded { granted: *this.granted }))
    }
}

impl<F, B, E> Future for Timed<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Timed<B>>, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (deadline, granted) = (self.deadline, self.granted);
        let timed = |body| Timed { inner: Some(body), sleep: None, deadline, granted };
        self.poll_in_time(cx, F::poll).map_ok(|response| response.map(timed))
    }
}

impl<B: Body> Body for Timed<B> {
    type Data = B::Data;
    type Error = Error<B::Error>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, Self::Error>>> {
        if self.inner.is_none() {
            // The error was returned once.
            return Poll::Ready(None);
        }
        // A body that is always ready would never reach the timer.
        let late = self.deadline.left(Instant::now()).is_none();
        self.poll_in_time(cx, |inner, cx| match inner.poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) if late && frame.is_data() => Poll::Pending,
            polled => polled.map(Option::transpose),
        })
        .map(Result::transpose)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
