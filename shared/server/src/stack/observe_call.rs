//! Observes each call: opens its span in the caller's trace, records its metrics, and logs one line
//! when it ends (answered, failed, timed out or cancelled).

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::service::Service;
use opentelemetry::propagation::Extractor;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::{
    Span, debug,
    field::{Empty, display},
    info, info_span,
};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::outcome::{Failed, Outcome};
use crate::{
    call::{Arrived, Call, Timed},
    measure::Measures,
    status::{code, read},
};

#[derive(Clone, Debug)]
pub(crate) struct ObserveCall<S> {
    inner: S,
    measures: Arc<Measures>,
    service: Arc<str>,
}

impl<S> ObserveCall<S> {
    pub(crate) fn new(inner: S, measures: Arc<Measures>, service: Arc<str>) -> Self {
        Self { inner, measures, service }
    }
}

impl<S, B, R> Service<Arrived<B>> for ObserveCall<S>
where
    S: Service<Arrived<B>, Response = Response<R>, Error = Infallible>,
{
    type Response = Response<ObservedBody<R>>;
    type Error = Infallible;
    type Future = ObservedFuture<S::Future>;

    fn call(&self, arrived: Arrived<B>) -> Self::Future {
        let call = Arc::clone(&arrived.call);
        let span =
            call.span.get_or_init(|| open_span(&self.service, &call, arrived.http.headers()));
        let span = span.clone();
        let measures = Arc::clone(&self.measures);
        measures.started(&call.route);
        let observer = Observer { call, measures, over: false };
        let inner = {
            let _entered = span.enter();
            self.inner.call(arrived)
        };
        ObservedFuture { inner, observer: Some(observer), span }
    }
}

/// Opens the span. Names and values follow OpenTelemetry's conventions for gRPC.
fn open_span(service: &str, call: &Call, headers: &HeaderMap) -> Span {
    let span = info_span!(
        "grpc",
        otel.name = call.route.name(),
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system.name = "grpc",
        rpc.method = call.route.name(),
        rpc.response.status_code = Empty,
        "error.type" = Empty,
        client.address = %call.client,
        network.peer.address = %call.connection.peer.ip(),
        network.peer.port = call.connection.peer.port(),
        request_id = &*call.request_id,
        gantry.service = service,
    );
    if !span.is_disabled() {
        let parent = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&Headers(headers))
        });
        // Fails if the process collects no traces: there is then no trace to join.
        let _ = span.set_parent(parent);
    }
    span
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Records the end of a call. Dropping it before that records a cancellation.
struct Observer {
    call: Arc<Call>,
    measures: Arc<Measures>,
    over: bool,
}

impl Observer {
    /// Records the outcome. `status` is the complete status of a failed call, if there is one.
    fn ended(mut self, outcome: &Outcome, status: Option<&Status>) {
        let failure = outcome.is_failure().then(|| Failed::new(&self.call, status));
        self.record(outcome, failure.unwrap_or_default());
    }

    fn record(&mut self, outcome: &Outcome, failed: Failed) {
        self.over = true;
        let call = &*self.call;
        let none = Span::none();
        let span = call.span.get().unwrap_or(&none);
        let (code, took) = (outcome.name(), call.received.elapsed());
        self.measures.ended(&call.route, outcome.grpc(), took);
        span.record("rpc.response.status_code", code);
        if outcome.is_server_error() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", code);
        }
        let kind = outcome.is_limited().then(|| failed.kind(code));
        // Behind a trusted proxy, the peer is the proxy.
        let client = (call.client != call.connection.peer.ip()).then(|| display(call.client));
        // The level of a tracing macro is fixed. Health and reflection are too frequent for info.
        macro_rules! line {
            ($level:ident) => {
                $level!(
                    parent: span,
                    method = call.route.name(),
                    code,
                    reason = failed.reason,
                    cause = failed.cause,
                    duration_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
                    caller = call.caller.get().map(String::as_str),
                    peer = %call.connection.peer,
                    client,
                    token_issuer = failed.token.issuer,
                    token_key_id = failed.token.key_id,
                    log.kind = kind,
                    "call ended"
                )
            };
        }
        if call.route.is_infrastructure() { line!(debug) } else { line!(info) }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let late = self.call.deadline.get().is_some_and(|deadline| *deadline <= Instant::now());
        // A layer that panics in `call` drops this before the panic is recorded.
        let panicked = self.call.has_panicked() || std::thread::panicking();
        if panicked {
            self.measures.panicked(&self.call.route);
        }
        let (code, cause) = match () {
            () if panicked => (Code::Internal, "panic"),
            // The caller stops at its own deadline, often before the server's response.
            () if late => (Code::DeadlineExceeded, "deadline expired"),
            () => (Code::Cancelled, "cancelled by the caller"),
        };
        let failed = Failed { cause: Some(cause.to_owned()), ..Failed::new(&self.call, None) };
        self.record(&Outcome::Grpc(code), failed);
    }
}

pin_project! {
    pub(crate) struct ObservedFuture<F> {
        #[pin]
        inner: F,
        observer: Option<Observer>,
        span: Span,
    }
}

impl<F, R> Future for ObservedFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = Result<Response<ObservedBody<R>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _entered = this.span.enter();
        let Ok(response) = ready!(this.inner.poll(cx));
        let mut observer = this.observer.take();
        // A refusal has its status in the headers, without trailers.
        let outcome = match code(response.headers()) {
            Some(code) => Some(Outcome::Grpc(code)),
            None if response.status() != StatusCode::OK => Some(Outcome::Http(response.status())),
            None => None,
        };
        if let Some(outcome) = outcome
            && let Some(observer) = observer.take()
        {
            // Tonic keeps the status in the extensions, beside the headers made from it.
            let status = response.extensions().get::<Status>();
            if let Some(status) = status {
                observer.measures.refused(&observer.call.route, status);
            }
            observer.ended(&outcome, status);
        }
        let span = this.span.clone();
        Poll::Ready(Ok(response.map(|inner| ObservedBody { inner, observer, span })))
    }
}

pin_project! {
    /// Response body whose trailers end the observation.
    pub(crate) struct ObservedBody<B> {
        #[pin]
        inner: B,
        observer: Option<Observer>,
        span: Span,
    }
}

impl<B: Body<Data = Bytes>> Body for ObservedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let _entered = this.span.enter();
        let frame = ready!(this.inner.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    ended(this.observer, Some(trailers));
                }
            }
            // Without trailers, no outcome reached the caller.
            Some(Err(_)) | None => ended(this.observer, None),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Timed<Data = Bytes>> Timed for ObservedBody<B> {
    fn poll_over(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<HeaderMap> {
        let this = self.project();
        let _entered = this.span.enter();
        let trailers = ready!(this.inner.poll_over(cx));
        ended(this.observer, Some(&trailers));
        Poll::Ready(trailers)
    }
}

fn ended(observer: &mut Option<Observer>, trailers: Option<&HeaderMap>) {
    if let Some(observer) = observer.take() {
        let code = trailers.and_then(code).unwrap_or(Code::Unknown);
        let status = trailers.filter(|_| code != Code::Ok).and_then(read);
        observer.ended(&Outcome::Grpc(code), status.as_ref());
    }
}
