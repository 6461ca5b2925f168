//! Reads the message of a unary request before the call takes its concurrency permit. A request
//! stream is passed on at once: see [`Opening`](super::opening::Opening).
//!
//! Only this module and [`requests`](super::requests) read messages.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use gantry_contract::Authorized;
use http::{Response, request::Parts};
use http_body::Body;
use hyper::service::Service;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tonic::{Status, codegen::StdError};

use super::{
    messages::{Scan, Whole, broken, is_gzip},
    requests::Requests,
    uploads::{Uploads, Wait},
};
use crate::{
    call::{Call, CallerHashes, Complete, Message, Permitted},
    methods::Method,
};

#[derive(Debug)]
pub(crate) struct Collect<S>(Arc<Shared<S>>);

/// State shared by all calls, in one allocation.
#[derive(Debug)]
struct Shared<S> {
    inner: S,
    uploads: Arc<Uploads>,
    max_message_bytes: u32,
}

impl<S> Collect<S> {
    pub(crate) fn new(inner: S, uploads: Arc<Uploads>, max_message_bytes: u32) -> Self {
        Self(Arc::new(Shared { inner, uploads, max_message_bytes }))
    }
}

impl<S> Clone for Collect<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S, B, R> Service<Permitted<B>> for Collect<S>
where
    S: Service<Complete<Message<Requests<B>>>, Response = Response<R>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
    R: Default,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = Collecting<S, S::Future, B>;

    fn call(&self, permitted: Permitted<B>) -> Self::Future {
        let Permitted { call, method, key, authorized, http } = permitted;
        let limit = method.max_request_bytes(self.0.max_message_bytes);
        let gzip = is_gzip(http.headers());
        let (head, body) = http.into_parts();
        let rest = Rest { call, method, key, authorized, head };
        if method.takes_one_message() {
            let (scan, whole) = (Scan::new(limit, true, gzip), Whole::default());
            let reading = Reading { rest: Some(rest), body, scan, whole, key, wait: None };
            return Collecting::Reading { reading, shared: Arc::clone(&self.0) };
        }
        let scan = Scan::new(limit, false, gzip);
        let requests = Requests::new(body, scan, Arc::clone(&self.0.uploads), key);
        let complete = rest.with(Message::Stream(requests), None);
        Collecting::Passed { future: self.0.inner.call(complete) }
    }
}

/// Call without its body.
#[derive(Debug)]
struct Rest {
    call: Arc<Call>,
    method: Method,
    key: CallerHashes,
    authorized: Authorized,
    head: Parts,
}

impl Rest {
    fn with<B>(self, message: Message<B>, at: Option<Instant>) -> Complete<Message<B>> {
        let Self { call, method, key, authorized, head } = self;
        let at = at.unwrap_or(call.received);
        let http = http::Request::from_parts(head, message);
        Complete { call, method, key, authorized, at, http }
    }
}

/// Call with a message that is being read.
#[derive(Debug)]
pub(crate) struct Reading<B> {
    /// None after the message is complete.
    rest: Option<Rest>,
    body: B,
    scan: Scan,
    whole: Whole,
    key: CallerHashes,
    wait: Option<Wait>,
}

impl<B> Reading<B>
where
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
{
    /// Reads more of the request. Ready with the message at its end, or with the reason why it is
    /// rejected.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        uploads: &Arc<Uploads>,
    ) -> Poll<Result<Bytes, Status>> {
        while !self.body.is_end_stream() {
            let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
                let kept = self.whole.compact();
                let wait = self.wait.get_or_insert_with(|| Wait::new(uploads, self.key));
                return wait.poll(cx, self.scan.partial(), kept).map(Err);
            };
            let Some(frame) = frame.transpose().map_err(broken)? else { break };
            // Ignore trailers: gRPC defines none for requests.
            let Ok(data) = frame.into_data() else { break };
            self.scan.data(&data)?;
            self.whole.push(data, self.scan.left());
        }
        self.scan.end()?;
        self.wait = None;
        Poll::Ready(Ok(std::mem::take(&mut self.whole).into_bytes()))
    }
}

pin_project! {
    /// Rest of the call: first its message, then its response.
    #[project = CollectingProject]
    pub(crate) enum Collecting<S, F, B> {
        Reading { reading: Reading<B>, shared: Arc<Shared<S>> },
        Passed { #[pin] future: F },
    }
}

impl<S, B, R> Future for Collecting<S, S::Future, B>
where
    S: Service<Complete<Message<Requests<B>>>, Response = Response<R>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Into<StdError>> + Unpin,
    R: Default,
{
    type Output = Result<Response<R>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = match self.as_mut().project() {
            CollectingProject::Passed { future } => return future.poll(cx),
            CollectingProject::Reading { reading, shared } => {
                // Latency counts from the arrival of the call or, if the server had to wait for the
                // message, from its completion.
                let waited = reading.wait.is_some();
                let message = match ready!(reading.poll(cx, &shared.uploads)) {
                    Ok(message) => message,
                    Err(refused) => return Poll::Ready(Ok(refused.into_http())),
                };
                // None if polled after completion: stay pending.
                let Some(rest) = reading.rest.take() else { return Poll::Pending };
                let at = waited.then(Instant::now);
                shared.inner.call(rest.with(Message::One(message), at))
            }
        };
        self.set(Self::Passed { future });
        let CollectingProject::Passed { future } = self.project() else { return Poll::Pending };
        future.poll(cx)
    }
}
