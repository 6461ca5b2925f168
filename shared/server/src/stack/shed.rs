//! Refuses what is more than can be worked at, as the latency of what is worked at tells.
//!
//! A call counts until its answer begins: a unary call until it is answered, a stream of
//! answers until its first headers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use gantry_contract::{Failure, GantryReason};
use gantry_resilience::limits::{Limiter, Permit};
use http::Response;
use hyper::service::Service;
use pin_project_lite::pin_project;
use tonic::Code;

use super::verdict::Verdict;
use crate::{
    call::Routed,
    status::{code, come_again},
};

#[derive(Clone, Debug)]
pub(crate) struct Shed<S> {
    inner: S,
    limiter: Limiter,
}

impl<S> Shed<S> {
    /// The limiter's classes are the methods.
    pub(crate) fn new(inner: S, limiter: Limiter) -> Self {
        Self { inner, limiter }
    }
}

impl<S, B, R> Service<Routed<B>> for Shed<S>
where
    S: Service<Routed<B>, Response = Response<R>, Error = Infallible>,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Verdict<ShedFuture<S::Future>, R>;

    fn call(&self, routed: Routed<B>) -> Self::Future {
        let method = routed.method;
        let entered = (!method.infrastructure)
            .then(|| self.limiter.try_enter(method.index, routed.call.received));
        let permit = match entered.transpose() {
            Ok(permit) => permit,
            Err(overloaded) => {
                let failure = Failure::new(
                    Code::ResourceExhausted,
                    GantryReason::Overloaded,
                    "the server has more calls than it can work at",
                );
                return Verdict::refuse(come_again(
                    failure,
                    overloaded.retry_after(fastrand::f64()),
                ));
            }
        };
        Verdict::pass(ShedFuture { inner: self.inner.call(routed), permit })
    }
}

pin_project! {
    /// Holds the call's place until the answer begins.
    pub(crate) struct ShedFuture<F> {
        #[pin]
        inner: F,
        permit: Option<Permit>,
    }
}

impl<F, R> Future for ShedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.inner.poll(cx));
        // A status in the headers is a refusal, of which the time says little.
        if let Some(permit) = this.permit.take()
            && code(response.headers()).is_none()
        {
            permit.answered();
        }
        Poll::Ready(Ok(response))
    }
}
