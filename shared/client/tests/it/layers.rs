//! Layers of another team around the channel.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use gantry_client::Channel;
use gantry_discovery::{Instance, Registry};
use http::{HeaderMap, HeaderValue, Request as HttpRequest, uri::PathAndQuery};
use tonic::{Request, body::Body, client::Grpc};
use tonic_prost::ProstCodec;
use tower::util::MapRequestLayer;

use crate::{
    caller::{CONTRACT, FIND, warm},
    server::{Server, trailers_only},
};

/// Appends a word to a header and counts the requests.
fn saying(
    word: &'static str,
    seen: &Arc<AtomicU32>,
) -> MapRequestLayer<impl FnMut(HttpRequest<Body>) -> HttpRequest<Body> + Clone + use<>> {
    let seen = Arc::clone(seen);
    MapRequestLayer::new(move |mut request: HttpRequest<Body>| {
        seen.fetch_add(1, Ordering::Relaxed);
        request.headers_mut().append("x-said", HeaderValue::from_static(word));
        request
    })
}

#[tokio::test]
async fn layers_wrap_the_call_and_not_its_attempts() {
    let noted = Arc::new(Mutex::new(HeaderMap::new()));
    let notes = Arc::clone(&noted);
    let server = Server::answering(move |request| {
        *notes.lock().unwrap() = request.request.headers().clone();
        async { trailers_only(&[("grpc-status", "14")]) }
    })
    .await;
    let registry = Registry::memory();
    let instance = Instance::new("echo", server.address);
    let _registration = registry.registrar.register(instance).await.unwrap();
    let (outer, inner) = (Arc::default(), Arc::default());
    let plain: Arc<Mutex<Option<Channel>>> = Arc::default();
    let kept = Arc::clone(&plain);
    let channel = Channel::builder("echo")
        .layer(saying("outer", &outer))
        .contract(&CONTRACT)
        .layer(saying("inner", &inner))
        .registry(registry)
        .layer(tower::layer::layer_fn(move |channel: Channel| {
            *kept.lock().unwrap() = Some(channel.clone());
            channel
        }))
        .build()
        .unwrap();
    let plain = plain.lock().unwrap().take().unwrap();
    warm(&plain, 1).await;
    let path = PathAndQuery::from_static(FIND);
    let codec = ProstCodec::<String, String>::default();
    let call = Request::new("hello".to_owned());
    Grpc::new(channel).unary(call, path, codec).await.unwrap_err();
    assert!(server.hits() > 1, "the call was retried");
    assert_eq!((outer.load(Ordering::Relaxed), inner.load(Ordering::Relaxed)), (1, 1));
    let said: Vec<_> = noted.lock().unwrap().get_all("x-said").iter().cloned().collect();
    assert_eq!(said, ["outer", "inner"], "each attempt has what the layers added");
}
