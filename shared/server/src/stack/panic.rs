//! Turns a panic into INTERNAL: the caller gets the request id, the log gets the details.
//!
//! The backtrace is available only during the panic, so a panic hook stores it for the thread. The
//! hook is the only process-wide state of this crate. While no call is being polled, it forwards to
//! the previous hook.

use std::{
    any::Any,
    backtrace::Backtrace,
    cell::{Cell, RefCell},
    convert::Infallible,
    future::Future,
    panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook},
    pin::Pin,
    sync::{Arc, Once},
    task::{Context, Poll},
};

use bytes::Bytes;
use gantry_contract::{Failure, GantryReason};
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use pin_project_lite::pin_project;
use tonic::{Code, Status};
use tracing::{Span, error};

use crate::{
    call::{Arrived, Call, Timed},
    status::trailers,
};

#[derive(Clone, Debug)]
pub(crate) struct CatchPanic<S> {
    inner: S,
}

impl<S> CatchPanic<S> {
    pub(crate) fn new(inner: S) -> Self {
        keep_backtraces();
        Self { inner }
    }
}

impl<S, B, R> Service<Arrived<B>> for CatchPanic<S>
where
    S: Service<Arrived<B>, Response = Response<R>, Error = Infallible>,
{
    type Response = Response<CaughtBody<R>>;
    type Error = Infallible;
    type Future = CaughtFuture<S::Future>;

    fn call(&self, arrived: Arrived<B>) -> Self::Future {
        let call = Arc::clone(&arrived.call);
        let inner = caught(&call, || self.inner.call(arrived));
        CaughtFuture { inner, call }
    }
}

pin_project! {
    /// Future that catches panics; empty if creating it panicked.
    pub(crate) struct CaughtFuture<F> {
        #[pin]
        inner: Option<F>,
        call: Arc<Call>,
    }
}

impl<F, R> Future for CaughtFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Response<CaughtBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let call = &*this.call;
        let polled =
            this.inner.as_mut().as_pin_mut().and_then(|inner| caught(call, || inner.poll(cx)));
        match polled {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(Ok(response))) => Poll::Ready(Ok(
                response.map(|inner| CaughtBody { inner: Some(inner), call: Arc::clone(call) })
            )),
            None => {
                this.inner.set(None);
                let answer = internal(call).into_http::<()>();
                Poll::Ready(Ok(answer.map(|()| CaughtBody { inner: None, call: Arc::clone(call) })))
            }
        }
    }
}

pin_project! {
    /// Response body that ends with INTERNAL if the stream behind it panics.
    pub(crate) struct CaughtBody<B> {
        #[pin]
        inner: Option<B>,
        call: Arc<Call>,
    }
}

impl<B: Body<Data = Bytes>> Body for CaughtBody<B> {
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
        match caught(this.call, || inner.poll_frame(cx)) {
            Some(polled) => polled,
            None => {
                this.inner.set(None);
                Poll::Ready(Some(Ok(Frame::trailers(trailers(&internal(this.call))))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B: Timed<Data = Bytes>> Timed for CaughtBody<B> {
    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeaderMap> {
        let mut this = self.project();
        let Some(inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        // Dropping the handler's body may panic as well.
        match caught(this.call, || inner.poll_over(cx)) {
            Some(polled) => polled,
            None => {
                this.inner.set(None);
                Poll::Ready(trailers(&internal(this.call)))
            }
        }
    }
}

fn internal(call: &Call) -> Status {
    Failure::new(
        Code::Internal,
        GantryReason::Internal,
        "internal error: the log of the server has the cause",
    )
    .request_id(&*call.request_id)
    .into()
}

/// Report that the hook stored for the last panic on this thread.
struct Report {
    location: String,
    backtrace: Backtrace,
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static REPORT: RefCell<Option<Report>> = const { RefCell::new(None) };
}

/// Runs `work`. If it panics, logs the panic within the call's span and returns None.
fn caught<T>(call: &Call, work: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    // Safe: callers drop the value that panicked and never poll it again.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    result.map_err(|payload| log(call, &*payload)).ok()
}

fn log(call: &Call, payload: &(dyn Any + Send)) {
    call.set_panicked();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let (location, backtrace) = REPORT
        .take()
        .map(|report| (report.location, report.backtrace.to_string()))
        .unwrap_or_default();
    let none = Span::none();
    error!(
        parent: call.span.get().unwrap_or(&none),
        request_id = &*call.request_id,
        method = call.route.name(),
        panic = message,
        location,
        backtrace,
        "a call panicked"
    );
}

fn keep_backtraces() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if GUARDED.get() { REPORT.set(Some(report(info))) } else { before(info) }
        }));
    });
}

fn report(info: &PanicHookInfo<'_>) -> Report {
    Report {
        location: info.location().map(ToString::to_string).unwrap_or_default(),
        backtrace: Backtrace::force_capture(),
    }
}
