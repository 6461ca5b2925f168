//! Load shedding: refuses calls beyond the adaptive concurrency limit, and calls of a caller that
//! holds its share.
//!
//! A call takes its permit when its message is complete, because a slow upload is no work for the
//! server. It releases the permit when its response begins. A request stream takes it with its
//! first message (see [`opening`](super::opening)). A handler that only waits for an event can
//! release it early: [`release_place`].

use std::{
    cell::Cell,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use gantry_resilience::limits::{Limiter, Permit};
use http::Response;
use hyper::service::Service;
use pin_project_lite::pin_project;

use super::{
    admission::Admission,
    opening::{Opening, overloaded},
    requests::Requests,
};
use crate::{
    call::{Complete, Message},
    status::code,
};

thread_local! {
    /// True if the handler polled on this thread released the permit of its call.
    static RELEASED: Cell<bool> = const { Cell::new(false) };
}

/// Releases the concurrency permit of the current call. For a handler that has finished its work
/// and only waits for an event. From then on the call takes no capacity from others, and its
/// duration does not count as a sign of overload.
///
/// Call it from the handler, not from a task that the handler spawned. Elsewhere, and for request
/// streams, it has no effect.
pub fn release_place() {
    RELEASED.set(true);
}

#[derive(Clone, Debug)]
pub(crate) struct Shed<S> {
    inner: S,
    limiter: Limiter,
}

impl<S> Shed<S> {
    /// Creates the layer. The limiter's classes are the methods.
    pub(crate) fn new(inner: S, limiter: Limiter) -> Self {
        Self { inner, limiter }
    }
}

impl<S, B, R> Service<Complete<Message<Requests<B>>>> for Shed<S>
where
    S: Service<Complete<Message<Requests<B>>>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Admission<ShedFuture<S::Future>, R>;

    fn call(&self, mut complete: Complete<Message<Requests<B>>>) -> Self::Future {
        let (method, caller, at) = (complete.method, complete.key.caller, complete.at);
        let (mut permit, mut opening) = (None, None);
        match complete.http.body_mut() {
            _ if method.infrastructure => {}
            Message::One(_) => match self.limiter.try_enter_for(caller, method.index, at) {
                Ok(entered) => permit = Some(entered),
                Err(full) => return Admission::refuse(overloaded(full)),
            },
            Message::Stream(requests) => {
                let limiter = self.limiter.clone();
                let opened = Arc::new(Opening::new(limiter, caller, method.index));
                requests.open(Arc::clone(&opened));
                opening = Some(opened);
            }
        }
        Admission::pass(ShedFuture { inner: self.inner.call(complete), permit, opening })
    }
}

pin_project! {
    /// Future that holds the permit until the response begins.
    pub(crate) struct ShedFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
        opening: Option<Arc<Opening>>,
    }
}

impl<F, R> Future for ShedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
    R: Default,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        RELEASED.set(false);
        let polled = this.inner.poll(cx);
        if RELEASED.replace(false)
            && let Some(permit) = this.permit.take()
        {
            drop(permit.unmeasured());
        }
        let placed = match &polled {
            Poll::Pending => this.opening.as_ref().map_or(Ok(()), |opening| opening.works()),
            // Do not measure the latency of a refusal, which has its status in the headers.
            Poll::Ready(Ok(response)) if code(response.headers()).is_some() => {
                *this.permit = None;
                Ok(())
            }
            Poll::Ready(_) => {
                if let Some(permit) = this.permit.take() {
                    permit.answered();
                }
                this.opening.as_ref().map_or(Ok(()), |opening| opening.answers())
            }
        };
        if let Err(full) = placed {
            return Poll::Ready(Ok(overloaded(full).into_http()));
        }
        polled
    }
}
