//! Assigns a request id to every call and returns it in the response.
//!
//! The caller's id is kept if it has 1 to 128 of the characters permitted in ids. Any other id is
//! replaced, because it would end up in logs.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{SystemTime, UNIX_EPOCH},
};

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::service::Service;
use pin_project_lite::pin_project;
use uuid::Uuid;

use crate::{
    call::{Arrived, Call, Received, Route},
    client::Proxies,
    methods::Methods,
};

/// Header of the request id, in requests and responses.
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

    fn call(&self, Received { connection, at, too_large, mut http }: Received<B>) -> Self::Future {
        let (request_id, header) = request_id(&http);
        let path = http.uri().path();
        let route = self.methods.get(path).map_or_else(|| Route::unknown(path), Route::Known);
        http.extensions_mut().insert(connection.info.clone());
        let client = self.proxies.client(connection.peer.ip(), http.headers());
        let call = Arc::new(Call::new(request_id, route, connection, client, at, too_large));
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
    let id = new_id().hyphenated();
    let mut text = Uuid::encode_buffer();
    let id = &*id.encode_lower(&mut text);
    #[expect(clippy::expect_used, reason = "a UUID is hexadecimal digits and hyphens")]
    let header = HeaderValue::from_str(id).expect("a UUID is a header value");
    (id.into(), header)
}

/// Creates an id. An id is not a secret, so it avoids the system's random generator, which
/// `Uuid::now_v7` uses.
fn new_id() -> Uuid {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut chance = [0; 10];
    fastrand::fill(&mut chance);
    // The milliseconds fit into 64 bits for millions of years.
    uuid::Builder::from_unix_timestamp_millis(since_epoch.as_millis() as u64, &chance).into_uuid()
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
        if let Some(mut header) = this.header.take() {
            // Ids are unique: keep them out of HPACK's table.
            header.set_sensitive(true);
            response.headers_mut().insert(REQUEST_ID, header);
        }
        Poll::Ready(Ok(response))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_valid_id_is_kept_and_any_other_replaced() {
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
        assert_eq!(Uuid::parse_str(&made).unwrap().get_version_num(), 7);
    }
}
