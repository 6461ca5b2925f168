//! Server that records its executions: `replica ADDRESS CONSUL_URL JOURNAL`.

use std::{
    env,
    error::Error,
    fs::File,
    io::Write,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use gantry_discovery::{Kind, Registry, consul};
use gantry_replica::replica::v1::{
    AddRequest, AddResponse, PutRequest, PutResponse,
    replica_service_server::{ReplicaService, ReplicaServiceServer},
};
use gantry_server::{RateSettings, Server, listen, shutdown_signal};
use tokio::time::sleep;
use tonic::{Request, Response, Status};

/// Duration of a call, so that some are in flight at any time.
const WORK: Duration = Duration::from_millis(2);

struct Replica {
    journal: Mutex<File>,
}

impl Replica {
    async fn execute(&self, method: &str, id: &str) -> Result<(), Status> {
        {
            let mut journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
            // One write: the line is whole or absent, however the process ends.
            let written = journal.write_all(format!("{method} {id}\n").as_bytes());
            written.map_err(|error| Status::data_loss(error.to_string()))?;
        }
        sleep(WORK).await;
        Ok(())
    }
}

#[tonic::async_trait]
impl ReplicaService for Replica {
    async fn add(&self, request: Request<AddRequest>) -> Result<Response<AddResponse>, Status> {
        self.execute("add", &request.get_ref().call_id).await?;
        Ok(Response::new(AddResponse {}))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        self.execute("put", &request.get_ref().request_id).await?;
        Ok(Response::new(PutResponse {}))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = || arguments.next().ok_or("replica ADDRESS CONSUL_URL JOURNAL");
    let (address, url, journal) = (argument()?.parse()?, argument()?, argument()?);
    // No log line for each of many thousand calls.
    let filter = "info,gantry_server::stack=warn".to_owned().try_into()?;
    let telemetry = gantry_telemetry::Settings::default().filter(filter);
    let _telemetry = gantry_telemetry::init(&telemetry, "replica")?;
    let consul = consul::Settings::default().url(url).check_interval(Duration::from_secs(1));
    let registry = Registry::from_settings(
        &gantry_discovery::Settings::default().kind(Kind::Consul).consul(consul),
    )?;
    let journal = Mutex::new(File::options().create(true).append(true).open(journal)?);
    let mut settings = gantry_server::Settings::default();
    // The whole load comes from one unauthenticated address.
    settings.limits.per_address = RateSettings::new(1e6, 1_000_000);
    let server = Server::builder("replica", &gantry_replica::CONTRACT)
        .settings(settings)
        .service(ReplicaServiceServer::new(Replica { journal }))
        .registry(registry)
        .build()?;
    server.serve(listen(address).await?, shutdown_signal()).await?;
    Ok(())
}
