//! gRPC server with a handler of the test's, on hyper.

use std::{
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpListener,
    sync::watch,
    task::{JoinHandle, JoinSet},
};
use tonic::{Status, body::Body};

pub(crate) type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;
type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// Running server. Dropping it kills it and all of its connections.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    hits: Arc<AtomicUsize>,
    connections: Arc<Connections>,
    drain: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

/// Connections of a server.
#[derive(Default)]
struct Connections {
    accepted: AtomicUsize,
    ended: AtomicUsize,
}

impl Server {
    /// Starts a server that answers every call with its own address.
    pub(crate) async fn start() -> Self {
        Self::answering(|hit| async move { reply(&hit.address.to_string()) }).await
    }

    /// Starts a server that answers every call after this time.
    pub(crate) async fn slow(delay: Duration) -> Self {
        Self::answering(move |hit| async move {
            tokio::time::sleep(delay).await;
            reply(&hit.address.to_string())
        })
        .await
    }

    pub(crate) async fn answering<F, A>(answer: F) -> Self
    where
        F: Fn(Hit) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::limited(1_000, answer).await
    }

    /// Starts a server that allows this many concurrent streams on a connection.
    pub(crate) async fn limited<F, A>(streams: u32, answer: F) -> Self
    where
        F: Fn(Hit) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::at("127.0.0.1:0".parse().unwrap(), streams, answer).await
    }

    pub(crate) async fn at<F, A>(address: SocketAddr, streams: u32, answer: F) -> Self
    where
        F: Fn(Hit) -> A + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (hits, connections) = (Arc::<AtomicUsize>::default(), Arc::<Connections>::default());
        let counter = Arc::clone(&hits);
        let handler: Handler = Arc::new(move |request| {
            counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(answer(Hit { address, request }))
        });
        let drain = watch::Sender::new(false);
        let task = serve(listener, streams, handler, Arc::clone(&connections), drain.subscribe());
        Self { address, hits, connections, drain, task: Some(tokio::spawn(task)) }
    }

    /// Returns the number of calls that reached a handler.
    pub(crate) fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    /// Returns the number of connections accepted so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.accepted.load(Ordering::SeqCst)
    }

    /// Returns the number of open connections.
    pub(crate) fn open(&self) -> usize {
        let ended = self.connections.ended.load(Ordering::SeqCst);
        self.connections() - ended
    }

    /// Stops accepting, sends GOAWAY, and finishes the calls in flight.
    pub(crate) async fn drain(mut self) {
        self.drain.send_replace(true);
        self.task.take().unwrap().await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn serve(
    listener: TcpListener,
    streams: u32,
    handler: Handler,
    count: Arc<Connections>,
    mut drain: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = tokio::select! {
            accepted = listener.accept() => accepted.unwrap(),
            _ = drain.wait_for(|drain| *drain) => break,
        };
        count.accepted.fetch_add(1, Ordering::SeqCst);
        stream.set_nodelay(true).unwrap();
        let (handler, mut drain) = (Arc::clone(&handler), drain.clone());
        let count = Arc::clone(&count);
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = handler(request);
                async move { Ok::<_, Status>(answer.await) }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(streams)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let draining = tokio::select! {
                _ = connection.as_mut() => false,
                _ = drain.wait_for(|drain| *drain) => true,
            };
            if draining {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
            count.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Call at the server.
pub(crate) struct Hit {
    pub(crate) address: SocketAddr,
    pub(crate) request: Request<Incoming>,
}

impl Hit {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    /// Returns the message of a unary request, if it arrives.
    pub(crate) async fn message(self) -> Option<String> {
        let body = self.request.into_body().collect().await.ok()?.to_bytes();
        Some(decode(&body))
    }
}

/// Returns a frame with a `google.protobuf.StringValue`.
pub(crate) fn encode(text: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !text.is_empty() {
        message.put_u8(0x0a);
        let mut length = text.len();
        while length >= 0x80 {
            message.put_u8((length as u8) | 0x80);
            length >>= 7;
        }
        message.put_u8(length as u8);
        message.put_slice(text.as_bytes());
    }
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap());
    frame.put_slice(&message);
    frame.freeze()
}

/// Returns the text of one frame.
pub(crate) fn decode(frame: &[u8]) -> String {
    let message = &frame[5..];
    let text = message.iter().skip(1).skip_while(|byte| **byte >= 0x80).skip(1);
    String::from_utf8(text.copied().collect()).unwrap()
}

/// Returns a complete response with the status OK.
pub(crate) fn reply(text: &str) -> Response<Body> {
    answer([encode(text)], &[("grpc-status", "0")])
}

/// Returns a response of these frames and trailers.
pub(crate) fn answer<const N: usize>(
    data: [Bytes; N],
    trailers: &[(&'static str, &str)],
) -> Response<Body> {
    let frames = data
        .into_iter()
        .map(Frame::data)
        .chain([Frame::trailers(headers(trailers))])
        .map(Ok::<_, Status>)
        .collect::<Vec<_>>();
    let body = Body::new(StreamBody::new(tokio_stream::iter(frames)));
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

/// Returns a response that ends with its head.
pub(crate) fn trailers_only(fields: &[(&'static str, &str)]) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.headers_mut() = headers(fields);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().entry("content-type").or_insert(kind);
    response
}

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| {
            (http::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        })
        .collect()
}
