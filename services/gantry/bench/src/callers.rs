//! Clients under test: our channel, tonic's, and bare hyper connections, all behind one generated
//! client.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use clap::ValueEnum;
use gantry_client::{Channel, ClientSettings};
use gantry_discovery::{Instance, Registration, Registry, SettingsError};
use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::http2::{self, SendRequest},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};
use tonic::{
    Status,
    body::Body,
    client::GrpcService,
    codegen::StdError,
    transport::{self, Endpoint},
};
use tower::Service;
use uuid::Uuid;

use super::{
    contract::{
        CONTRACT,
        bench::v1::{
            AddRequest, PutRequest, ReadRequest, bench_service_client::BenchServiceClient,
        },
    },
    error::BenchError,
};

/// Name of the service in the registry.
pub(super) const SERVICE: &str = "bench";

/// Idempotency of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// NO_SIDE_EFFECTS.
    Read,
    /// IDEMPOTENT.
    Put,
    /// Not idempotent.
    Add,
}

/// Client under test.
pub(super) trait Caller: Clone + Send + 'static {
    /// Makes a call. Returns the number of the replica that answered.
    fn call(&mut self, method: Method, id: u64)
    -> impl Future<Output = Result<u32, Status>> + Send;
}

impl<T> Caller for BenchServiceClient<T>
where
    T: GrpcService<Body> + Clone + Send + 'static,
    T::Future: Send,
    T::Error: Into<StdError>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    async fn call(&mut self, method: Method, id: u64) -> Result<u32, Status> {
        let answer = match method {
            Method::Read => self.read(ReadRequest { call_id: id }).await?,
            Method::Put => {
                let request_id = Uuid::from_u128(id.into()).to_string();
                self.put(PutRequest { request_id }).await?
            }
            Method::Add => self.add(AddRequest { call_id: id }).await?,
        };
        Ok(answer.into_inner().replica)
    }
}

/// Channel of a client under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Through {
    /// Our whole channel
    Ours,
    /// tonic's channel
    Tonic,
}

/// Our channel and its registry.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) channel: Channel,
    pub(super) client: BenchServiceClient<Channel>,
    registry: Registry,
    registered: Vec<Registration>,
}

impl Ours {
    /// Creates a channel without connections.
    pub(super) async fn new(
        addresses: &[SocketAddr],
        settings: ClientSettings,
    ) -> Result<Self, BenchError> {
        let registry = Registry::memory();
        let mut registered = Vec::new();
        for address in addresses {
            // Registered before the channel is built, so that it sees all of them at once.
            let instance = Instance::new(SERVICE, *address);
            registered.push(registry.registrar.register(instance).await?);
        }
        Ok(Self { registered, ..Self::within(registry, settings)? })
    }

    /// Creates a channel over a static list of one address, with at most this many connections.
    pub(super) fn listed(address: SocketAddr, connections: usize) -> Result<Self, BenchError> {
        let settings = ClientSettings::default().max_connections(connections);
        let registry = Registry::fixed([(SERVICE, [address.to_string()])]);
        Self::within(registry.map_err(SettingsError::from)?, settings)
    }

    /// Creates a channel over a registry.
    pub(super) fn within(registry: Registry, settings: ClientSettings) -> Result<Self, BenchError> {
        let channel = Channel::builder(SERVICE)
            .contract(&CONTRACT)
            .registry(registry.clone())
            .settings(settings)
            .build()?;
        let client = BenchServiceClient::new(channel.clone());
        Ok(Self { channel, client, registry, registered: Vec::new() })
    }

    /// Adds an endpoint.
    pub(super) async fn join(&mut self, address: SocketAddr) -> Result<(), BenchError> {
        let instance = Instance::new(SERVICE, address);
        self.registered.push(self.registry.registrar.register(instance).await?);
        Ok(())
    }

    /// Waits until the channel is connected to this many endpoints.
    pub(super) async fn connected(&self, endpoints: usize) -> Result<(), BenchError> {
        const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
        let until = Instant::now() + CONNECT_TIMEOUT;
        let connected = || {
            let snapshot = self.channel.snapshot();
            snapshot.endpoints.iter().filter(|one| one.connections > 0).count()
        };
        while connected() != endpoints {
            if Instant::now() > until {
                return Err(BenchError::Late("the endpoints were not connected", CONNECT_TIMEOUT));
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

/// Creates a bare tonic channel with one connection.
pub(super) async fn tonic_channel(
    address: SocketAddr,
) -> Result<BenchServiceClient<transport::Channel>, BenchError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
    Ok(BenchServiceClient::new(endpoint.connect().await?))
}

/// Creates a tonic channel that balances over a list: tonic's own means against sick replicas.
pub(super) fn tonic_balanced(
    addresses: &[SocketAddr],
) -> Result<BenchServiceClient<transport::Channel>, BenchError> {
    let endpoints: Vec<_> =
        addresses.iter().map(|address| endpoint(*address)).collect::<Result<_, _>>()?;
    Ok(BenchServiceClient::new(transport::Channel::balance_list(endpoints.into_iter())))
}

/// Creates an endpoint with a timeout: a call to a dead one would wait for ever.
pub(super) fn endpoint(address: SocketAddr) -> Result<Endpoint, transport::Error> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(Duration::from_secs(1))
        .timeout(Duration::from_secs(2)))
}

/// Bare hyper connections, used in turn.
#[derive(Clone, Debug)]
pub(super) struct Bare {
    connections: Arc<[SendRequest<Body>]>,
    next: Arc<AtomicUsize>,
}

impl Bare {
    /// Opens one connection to each address. An address may be given more than once.
    pub(super) async fn connect(
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Result<BenchServiceClient<Self>, BenchError> {
        let mut connections = Vec::new();
        for address in addresses {
            let stream = TcpStream::connect(address).await.map_err(BenchError::Replica)?;
            stream.set_nodelay(true).map_err(BenchError::Replica)?;
            let (sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
            // The task ends with the connection's last sender.
            tokio::spawn(connection);
            connections.push(sender);
        }
        let bare = Self { connections: connections.into(), next: Arc::default() };
        Ok(BenchServiceClient::with_origin(bare, Uri::from_static("http://bench")))
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Incoming>, hyper::Error>> + Send>>;

impl Service<Request<Body>> for Bare {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answering {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let mut connection = self.connections[turn].clone();
        Box::pin(async move { connection.send_request(request).await })
    }
}
