//! Gives every call its request id and says it back.
//!
//! The id the caller sent is kept where it is sane: 1 to 128 of the characters
//! that ids are made of. Anything else would end up in logs, and is replaced.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::{HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower::Service;
use uuid::Uuid;

use crate::{
    call::{Arrived, Call, Received, Target},
    client::Proxies,
    methods::Methods,
};

/// The header that carries the request id, both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Clone, Debug)]
pub(crate) struct Identify<S> {
    inner: S,
    methods: Arc<Methods>,
    proxies: Arc<Proxies>,
}

impl<S> Identify<S> {
    pub(crate) fn new(inner: S, methods: Arc<Methods>, proxies: Arc<Proxies>) -> Self {
        Self { inner, methods, proxies }
    }
}

impl<S, B, R> Service<Received<B>> for Identify<S>
where
    S: Service<Arrived<B>, Response = Response<R>, Error = Infallible>,
{
    type Response = Response<R>;
    type Error = Infallible;
    type Future = IdentifyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, Received { connection, at, mut http }: Received<B>) -> Self::Future {
        let (request_id, header) = request_id(&http);
        let path = http.uri().path();
        let target = self.methods.get(path).map_or_else(|| Target::unknown(path), Target::Known);
        http.extensions_mut().insert(connection.info.clone());
        let client = self.proxies.client(connection.peer.ip(), http.headers());
        let call = Arc::new(Call::new(request_id, target, connection, client, at));
        IdentifyFuture { inner: self.inner.call(Arrived { call, http }), header: Some(header) }
    }
}

fn request_id<B>(http: &Request<B>) -> (Arc<str>, HeaderValue) {
    if let Some(header) = http.headers().get(REQUEST_ID)
        && let Ok(id) = header.to_str()
        && is_sane(id)
    {
        return (id.into(), header.clone());
    }
    let id = Uuid::now_v7().to_string();
    #[expect(clippy::expect_used, reason = "a UUID is hexadecimal digits and hyphens")]
    let header = HeaderValue::from_str(&id).expect("a UUID is a header value");
    (id.into(), header)
}

fn is_sane(id: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || b"-_.:/+=".contains(&c);
    (1..=128).contains(&id.len()) && id.bytes().all(allowed)
}

pin_project! {
    pub(crate) struct IdentifyFuture<F> {
        #[pin]
        inner: F,
        header: Option<HeaderValue>,
    }
}

impl<F, R> Future for IdentifyFuture<F>
where
    F: Future<Output = Result<Response<R>, Infallible>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(mut response) = ready!(this.inner.poll(cx));
        if let Some(header) = this.header.take() {
            response.headers_mut().insert(REQUEST_ID, header);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sane_id_is_kept_and_anything_else_replaced() {
        let id = |sent: &[u8]| {
            let value = HeaderValue::from_bytes(sent).unwrap();
            request_id(&Request::builder().header(REQUEST_ID, value).body(()).unwrap()).0
        };
        assert_eq!(&*id(b"0195-abc.DEF:1/2+3=_"), "0195-abc.DEF:1/2+3=_");
        for sent in [&b""[..], b"two words", b"a\tb", b"{\"x\":1}", b"caf\xc3\xa9", &[b'a'; 129]] {
            assert!(Uuid::parse_str(&id(sent)).is_ok(), "{sent:?}");
        }
        let (made, header) = request_id(&Request::new(()));
        assert_eq!(header, *made);
    }
}
