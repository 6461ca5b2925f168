//! `gantry bench replica`: the process of a replica.

use std::{
    convert::Infallible,
    fs::File,
    io::{self, BufRead, Write},
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_proto::shop::user::v1::user_service_server::UserServiceServer;
use gantry_server::{ConcurrencySettings, LimitSettings, RateSettings, Settings};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet, time::sleep};
use tonic::{
    Request, Response, Status,
    body::Body,
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};

use super::{Behaviour, Served, users::Users};
use crate::{
    args::ReplicaArgs,
    callers::SERVICE,
    consul::registry,
    contract::{
        CONTRACT,
        bench::v1::{
            AddRequest, Answer, PutRequest, ReadRequest,
            bench_service_server::{BenchService, BenchServiceServer},
        },
    },
    cpu,
    error::BenchError,
};

/// Serves until standard input is closed or, with the whole stack, until a signal and the drain after
/// it.
///
/// # Errors
/// [`BenchError`] if it cannot listen, write or register.
pub(crate) async fn serve(args: &ReplicaArgs) -> Result<(), BenchError> {
    let _telemetry = args.traces.init()?;
    let service = Service::new(args).map_err(BenchError::Replica)?;
    let (listeners, addresses) = listen(args).await.map_err(BenchError::Replica)?;
    // Installed before the process is known to others, so that no signal is lost.
    let shutdown = gantry_server::shutdown_signal();
    say(&serde_json::json!(addresses).to_string()).map_err(BenchError::Replica)?;
    let told = service.clone();
    let told = tokio::task::spawn_blocking(move || told.obey());
    let served = async {
        match args.served {
            Served::Tonic => tonics(listeners, BenchServiceServer::new(service)).await,
            Served::Users => {
                let users = Users::open(args.database.as_deref().unwrap_or_default()).await?;
                tonics(listeners, UserServiceServer::new(users)).await
            }
            Served::Ours | Served::Unlimited => ours(listeners, service, args, shutdown).await,
        }
    };
    tokio::select! {
        // The reader panicked or reached the end of the input: stop in either case.
        told = told => told.unwrap_or(Ok(())).map_err(BenchError::Replica),
        served = served => {
            served?;
            // The input is still open and its reader blocks, so it cannot be joined.
            std::process::exit(0)
        }
    }
}

/// Serves with tonic's server, unchanged.
async fn tonics<S>(listeners: Vec<TcpListener>, handlers: S) -> Result<(), BenchError>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send,
{
    let mut servers = JoinSet::new();
    for listener in listeners {
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let server = Server::builder().add_service(handlers.clone());
        servers.spawn(server.serve_with_incoming(incoming));
    }
    while let Some(ended) = servers.join_next().await {
        ended.map_err(|panic| BenchError::Replica(panic.into()))??;
    }
    Ok(())
}

/// Serves with our whole stack.
async fn ours(
    listeners: Vec<TcpListener>,
    service: Service,
    args: &ReplicaArgs,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BenchError> {
    let Some(listener) = listeners.into_iter().next() else { return Ok(()) };
    let mut server = gantry_server::Server::builder(SERVICE, &CONTRACT)
        .service(BenchServiceServer::new(service))
        .settings(settings(args.served));
    if let Some(consul) = &args.consul {
        server = server.registry(registry(consul)?);
    }
    Ok(server.build()?.serve(listener, shutdown).await?)
}

/// Returns settings without limits per address: all callers share one address and have no
/// credentials.
fn settings(served: Served) -> Settings {
    let per_address = RateSettings::new(1e6, 1_000_000);
    let limits = LimitSettings::default().per_address(per_address);
    let concurrency = match served {
        Served::Unlimited => {
            ConcurrencySettings::default().min(NO_LIMIT).initial(NO_LIMIT).max(NO_LIMIT)
        }
        Served::Ours | Served::Tonic | Served::Users => ConcurrencySettings::default(),
    };
    Settings::default().concurrency(concurrency).limits(limits)
}

/// Limit above the benchmark's largest concurrency.
const NO_LIMIT: u32 = 100_000;

async fn listen(args: &ReplicaArgs) -> io::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
    for index in 0..args.ports {
        let port = if args.port == 0 { 0 } else { args.port + index as u16 };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        addresses.push(listener.local_addr()?);
        listeners.push(listener);
    }
    Ok((listeners, addresses))
}

fn say(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// Handlers and their current behaviour.
#[derive(Clone, Debug)]
struct Service {
    number: u32,
    told: Arc<Told>,
    journal: Option<Arc<File>>,
    slots: Option<Arc<Semaphore>>,
}

#[derive(Debug)]
struct Told {
    calls: AtomicU64,
    /// Delay in milliseconds; [`FAIL`] fails every call.
    delay: AtomicU64,
}

const FAIL: u64 = u64::MAX;

impl Service {
    fn new(args: &ReplicaArgs) -> io::Result<Self> {
        let journal = match &args.journal {
            // Appends of a few bytes are atomic, so all replicas can share the file.
            Some(path) => Some(Arc::new(File::options().create(true).append(true).open(path)?)),
            None => None,
        };
        let told = Told { calls: AtomicU64::new(0), delay: AtomicU64::new(0) };
        let slots = args.slots.map(|slots| Arc::new(Semaphore::new(slots as usize)));
        let service = Self { number: args.number, told: Arc::new(told), journal, slots };
        service.behave(args.behaviour);
        Ok(service)
    }

    /// Executes the commands on standard input until it is closed.
    fn obey(&self) -> io::Result<()> {
        for line in io::stdin().lock().lines() {
            let line = line?;
            if line == "calls" {
                say(&self.told.calls.load(Ordering::Relaxed).to_string())?;
            } else if line == "cpu" {
                say(&cpu::used().as_nanos().to_string())?;
            } else {
                let behaviour = line.parse().map_err(io::Error::other)?;
                self.behave(behaviour);
                say(&line)?;
            }
        }
        Ok(())
    }

    fn behave(&self, behaviour: Behaviour) {
        let delay = match behaviour {
            Behaviour::Delay(delay) => delay.as_millis() as u64,
            Behaviour::Fail => FAIL,
        };
        self.told.delay.store(delay, Ordering::Relaxed);
    }

    async fn answer(&self) -> Result<Response<Answer>, Status> {
        self.told.calls.fetch_add(1, Ordering::Relaxed);
        let _slot = match &self.slots {
            // Never closed: the service holds it.
            Some(slots) => slots.acquire().await.ok(),
            None => None,
        };
        match self.told.delay.load(Ordering::Relaxed) {
            0 => {}
            FAIL => return Err(Status::unavailable("told to fail")),
            delay => sleep(Duration::from_millis(delay)).await,
        }
        Ok(Response::new(Answer { replica: self.number }))
    }
}

#[tonic::async_trait]
impl BenchService for Service {
    async fn read(&self, _: Request<ReadRequest>) -> Result<Response<Answer>, Status> {
        self.answer().await
    }

    async fn put(&self, _: Request<PutRequest>) -> Result<Response<Answer>, Status> {
        self.answer().await
    }

    async fn add(&self, request: Request<AddRequest>) -> Result<Response<Answer>, Status> {
        if let Some(journal) = &self.journal {
            // Written without a buffer, so that a kill does not lose it.
            (&**journal).write_all(&request.get_ref().call_id.to_be_bytes())?;
        }
        self.answer().await
    }
}
