//! Channel: the service behind a generated client.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use gantry_contract::CallContext;
use gantry_identity::ServiceSigner;
use http::{Request, Response, Uri, uri};
use tokio::time::Instant;
use tower::Service;
use tracing::Instrument;

use crate::{
    body::ResponseBody,
    call::Call,
    call_state::CallState,
    error::{About, Error},
    policy::Methods,
    pool::Pool,
    prepare::{deadline_of, encode, identify},
    snapshot::Snapshot,
};

/// Channel to one service. Clones share everything. The connections end when the last clone is
/// dropped and its calls are done.
#[derive(Clone, Debug)]
pub struct Channel {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) pool: Pool,
    pub(crate) authority: uri::Authority,
    pub(crate) methods: Methods,
    pub(crate) signer: Option<Arc<ServiceSigner>>,
    /// True once a warning about a method outside the contract was logged.
    pub(crate) warned: AtomicBool,
}

impl Channel {
    /// Returns the name of the service.
    pub fn service(&self) -> &str {
        &self.inner.pool.shared().service
    }

    /// Returns the current state of the channel and its endpoints.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::of(self.inner.pool.shared())
    }

    fn start(&self, request: Request<tonic::body::Body>) -> Result<Call, Error> {
        let started = Instant::now();
        let pool = self.inner.pool.shared();
        let (mut parts, body) = request.into_parts();
        let method = self.inner.methods.get(parts.uri.path());
        if !method.is_known() && !self.inner.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(service = %pool.service, method = parts.uri.path(),
                "the channel's contract does not have the method: no timeout, no retries");
        }
        let context = CallContext::current();
        let max_age = pool.settings.stream_max_age;
        let deadline = deadline_of(&method, &mut parts, context.as_ref(), started, max_age);
        let signer = self.inner.signer.as_ref();
        let identified = identify(&mut parts, context.as_ref(), signer, &pool.service);

        let about = About {
            service: &pool.service,
            path: parts.uri.path(),
            attempts: 0,
            endpoint: None,
            started,
            left: None,
            breaker: None,
            failed: &[],
            gave_up: None,
            repeatable: method.repeatable,
            signed: signer.is_some(),
        };
        let deadline = deadline.map_err(|error| about.malformed(&error.to_string()))?;
        if deadline.left(started).is_none() {
            return Err(about.deadline_exceeded("nothing was left of it"));
        }
        identified.map_err(|what| about.malformed(what))?;
        let uri = self.uri(&parts.uri).ok_or_else(|| about.malformed("it has no path"))?;
        let encoding = encode(&mut parts.headers, pool.settings.compression);
        let (pool, signed) = (Arc::clone(pool), signer.is_some());
        let state = Box::new(CallState::new(pool, uri, method, started, deadline, signed));
        Ok(Call { state, headers: parts.headers, body, encoding })
    }

    fn uri(&self, requested: &Uri) -> Option<Uri> {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(match self.inner.pool.shared().tls {
            Some(_) => uri::Scheme::HTTPS,
            None => uri::Scheme::HTTP,
        });
        parts.authority = Some(self.inner.authority.clone());
        parts.path_and_query = Some(requested.path_and_query()?.clone());
        Uri::from_parts(parts).ok()
    }
}

/// Call under way. Dropping it cancels the call.
pub struct ResponseFuture(
    Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Error>> + Send>>,
);

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseFuture")
    }
}

impl Service<Request<tonic::body::Body>> for Channel {
    type Response = Response<ResponseBody>;
    type Error = Error;
    type Future = ResponseFuture;

    /// Always ready: a call without an endpoint waits within its own deadline.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> ResponseFuture {
        // The context belongs to the caller's task, and another task may poll the future.
        match self.start(request) {
            Ok(call) => {
                let span = call.state.span().clone();
                ResponseFuture(Box::pin(call.run().instrument(span)))
            }
            Err(error) => ResponseFuture(Box::pin(std::future::ready(Err(error)))),
        }
    }
}
