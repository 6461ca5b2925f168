//! Calls, to be counted: what the channel costs beside bare connections of h2's and of hyper's,
//! and tonic's own channel.
//!
//! ```text
//! cargo build --profile dist -p gantry-client --example call_cost
//! target/dist/examples/call_cost serve &       # prints its address
//! target/dist/examples/call_cost stack ADDRESS 20000 64
//! valgrind --tool=callgrind target/dist/examples/call_cost stack ADDRESS 20000 64
//! ```
//! The arguments: `stack`, `tonic`, `hyper` or `h2`; where to; how many calls; how many at once; on
//! how many threads; and over how many connections (`tonic` has one). Two runs with different
//! numbers of calls give the instructions of one.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that fails ends, and tells people"
)]

use std::{
    env,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicIsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use gantry_client::{Channel, ClientSettings};
use gantry_contract::{
    Access, Contract, Idempotency, MethodKind, MethodPolicy, Repeats, RetryPolicy, ServicePolicy,
};
use gantry_discovery::{Instance, Registry};
use http::{HeaderMap, HeaderValue, Request, Response, Uri, uri::PathAndQuery};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::Incoming, client::conn::http2 as client, server::conn::http2, service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tonic::{Status, body::Body, client::Grpc};
use tonic_prost::ProstCodec;

const PATH: &str = "/cost.v1.Cost/Echo";

static CONTRACT: Contract = Contract {
    services: &[ServicePolicy {
        name: "cost.v1.Cost",
        methods: &[MethodPolicy {
            path: PATH,
            kind: MethodKind::Unary,
            timeout: Duration::from_secs(5),
            access: Access::Public,
            idempotency: Idempotency::NoSideEffects,
            repeats: Repeats::Retry(RetryPolicy::DEFAULT),
            rate_class: None,
            max_request_bytes: None,
        }],
    }],
    permissions: &[],
    roles: &[],
    rate_classes: &[],
    descriptor_set: &[],
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let threads = arguments.get(4).map_or(Ok(1), |threads| threads.parse())?;
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.worker_threads(threads).enable_all().build()?.block_on(run(&arguments))
}

async fn run(arguments: &[String]) -> Result<(), Box<dyn std::error::Error>> {
    let mode = arguments.first().map_or("", String::as_str);
    if mode == "serve" {
        return serve().await;
    }
    let address: SocketAddr = arguments.get(1).ok_or("no address")?.parse()?;
    let number = |at: usize, or: usize| {
        arguments.get(at).and_then(|number| number.parse().ok()).unwrap_or(or)
    };
    let (calls, at_once, connections) = (number(2, 20_000), number(3, 64), number(5, 4));
    let started = Instant::now();
    match mode {
        "stack" => {
            let registry = Registry::memory();
            let instance = Instance::new("cost", address);
            let _registration = registry.registrar.register(instance).await?;
            let settings = ClientSettings::default().max_connections(connections);
            let channel = Channel::builder("cost").contract(&CONTRACT).registry(registry);
            let channel = channel.settings(settings).build()?;
            grpc(channel, calls, at_once).await;
        }
        "tonic" => {
            let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}"))?;
            grpc(endpoint.connect().await?, calls, at_once).await;
        }
        "hyper" => {
            let connections = connect(address, connections).await?;
            grpc(Hyper(Arc::new(connections), 0), calls, at_once).await;
        }
        "h2" => {
            let connections = connect_h2(address, connections).await?;
            grpc(H2(Arc::new(connections), 0), calls, at_once).await;
        }
        _ => return Err("serve, stack, tonic, hyper or h2".into()),
    }
    let took = started.elapsed();
    println!("{mode}: {calls} calls, {:.0} a second", calls as f64 / took.as_secs_f64());
    Ok(())
}

/// Runs `at_once` workers until so many calls were made.
async fn workers<F>(calls: usize, at_once: usize, worker: impl Fn(Arc<AtomicIsize>) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let left = Arc::new(AtomicIsize::new(calls as isize));
    let workers: Vec<_> = (0..at_once).map(|_| tokio::spawn(worker(Arc::clone(&left)))).collect();
    for worker in workers {
        worker.await.expect("a worker does not panic");
    }
}

fn take(left: &AtomicIsize) -> bool {
    left.fetch_sub(1, Ordering::Relaxed) > 0
}

async fn grpc<T>(channel: T, calls: usize, at_once: usize)
where
    T: tonic::client::GrpcService<Body> + Clone + Send + 'static,
    T::Future: Send,
    T::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error:
        Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    workers(calls, at_once, |left| {
        let mut grpc = Grpc::new(channel.clone());
        async move {
            while take(&left) {
                if let Err(error) = grpc.ready().await {
                    panic!("not ready: {}", error.into());
                }
                let codec: ProstCodec<String, String> = ProstCodec::default();
                let path = PathAndQuery::from_static(PATH);
                let request = tonic::Request::new("hello, who are you?".to_owned());
                let answer = grpc.unary(request, path, codec).await.expect("it answers");
                assert!(!answer.get_ref().is_empty());
            }
        }
    })
    .await;
}

/// Connections of hyper's, one after the other.
#[derive(Clone)]
struct Hyper(Arc<Vec<client::SendRequest<Body>>>, usize);

async fn connect(
    address: SocketAddr,
    count: usize,
) -> Result<Vec<client::SendRequest<Body>>, Box<dyn std::error::Error>> {
    let mut senders = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            client::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        senders.push(sender);
    }
    Ok(senders)
}

impl tower::Service<Request<Body>> for Hyper {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, hyper::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        *request.uri_mut() = Uri::from_static("http://cost/cost.v1.Cost/Echo");
        self.1 += 1;
        let mut sender = self.0[self.1 % self.0.len()].clone();
        Box::pin(sender.send_request(request))
    }
}

/// Connections of h2's, one after the other.
#[derive(Clone)]
struct H2(Arc<Vec<h2::client::SendRequest<Bytes>>>, usize);

async fn connect_h2(
    address: SocketAddr,
    count: usize,
) -> Result<Vec<h2::client::SendRequest<Bytes>>, Box<dyn std::error::Error>> {
    let mut senders = Vec::new();
    for _ in 0..count {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(2 << 20)
            .initial_connection_window_size(5 << 20)
            .handshake(stream)
            .await?;
        tokio::spawn(connection);
        senders.push(sender);
    }
    Ok(senders)
}

impl tower::Service<Request<Body>> for H2 {
    type Response = Response<Received>;
    type Error = h2::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, h2::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), h2::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        *request.uri_mut() = Uri::from_static("http://cost/cost.v1.Cost/Echo");
        self.1 += 1;
        let mut sender = self.0[self.1 % self.0.len()].clone();
        Box::pin(async move {
            let (head, mut body) = request.into_parts();
            let (response, mut sending) =
                sender.send_request(Request::from_parts(head, ()), false)?;
            while let Some(Ok(frame)) = body.frame().await {
                if let Ok(data) = frame.into_data() {
                    sending.send_data(data, http_body::Body::is_end_stream(&body))?;
                }
            }
            if !http_body::Body::is_end_stream(&body) {
                sending.send_data(Bytes::new(), true)?;
            }
            Ok(response.await?.map(|body| Received { body, data: true }))
        })
    }
}

/// Body of a response.
struct Received {
    body: h2::RecvStream,
    data: bool,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = h2::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, h2::Error>>> {
        let this = self.get_mut();
        if this.data {
            if let Some(data) = std::task::ready!(this.body.poll_data(cx)) {
                let data = data?;
                this.body.flow_control().release_capacity(data.len())?;
                return Poll::Ready(Some(Ok(Frame::data(data))));
            }
            this.data = false;
        }
        let trailers = std::task::ready!(this.body.poll_trailers(cx));
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)).transpose())
    }
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(1000)
            .serve_connection(TokioIo::new(stream), service_fn(echo));
        tokio::spawn(connection);
    }
}

async fn echo(request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let message =
        request.into_body().collect().await.map_err(|error| Status::internal(error.to_string()))?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = [Frame::data(message.to_bytes()), Frame::trailers(trailers)];
    let frames = tokio_stream::iter(frames.map(Ok::<_, Status>));
    let mut response = Response::new(Body::new(StreamBody::new(frames)));
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    Ok(response)
}
