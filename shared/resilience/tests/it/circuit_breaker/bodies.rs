//! Responses with bodies that the test writes.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use ::http::{Request, Response};
use bytes::Bytes;
use gantry_resilience::circuit_breaker::{CircuitBreakerService, Classify};
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tower::{Service, service_fn};

use super::*;

pub(super) fn breaker() -> CircuitBreaker {
    CircuitBreaker::new(Config::try_new(exact()).unwrap())
}

pub(super) fn opened() -> CircuitBreaker {
    let breaker = breaker();
    let now = Instant::now();
    for _ in 0..5 {
        breaker.admit(now).unwrap().record(Outcome::Failed, now);
    }
    breaker
}

pub(super) fn counts(breaker: &CircuitBreaker) -> (u32, u32) {
    let counts = breaker.snapshot(Instant::now()).counts;
    (counts.calls, counts.failed)
}

/// Body with frames that the test sends: `Err` breaks it off.
pub(super) struct Scripted(mpsc::UnboundedReceiver<Result<Frame<Bytes>, &'static str>>);

impl Body for Scripted {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.0.poll_recv(cx)
    }
}

pub(super) type Script = mpsc::UnboundedSender<Result<Frame<Bytes>, &'static str>>;

pub(super) fn scripted() -> (Script, Scripted) {
    let (script, frames) = mpsc::unbounded_channel();
    (script, Scripted(frames))
}

pub(super) fn data() -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(b"data")))
}

pub(super) async fn answered<P: Classify<Request<()>, Response<Scripted>, Infallible> + Clone>(
    breaker: &CircuitBreaker,
    policy: P,
    response: Response<Scripted>,
) -> P::Response {
    let mut response = Some(response);
    let inner = service_fn(move |_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(response.take().unwrap()))
    });
    let mut service = CircuitBreakerService::new(inner, breaker.clone(), policy);
    service.call(Request::new(())).await.unwrap()
}
