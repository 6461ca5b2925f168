//! Services that are open and serve.

use std::net::SocketAddr;

use gantry_discovery::Registry;
use gantry_process::{OpenService, Service};
use gantry_server::Server;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::Folder;

/// Server on a loopback port. Serves until it is stopped, or until its test ends.
#[derive(Debug)]
pub struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Serving {
    /// Starts to serve. Returns when readiness is decided.
    pub async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut status = server.status();
        let stop = CancellationToken::new();
        let shutdown = stop.clone().cancelled_owned();
        let served = tokio::spawn(async move { server.serve(listener, shutdown).await.unwrap() });
        status.started().await;
        Self { address, stop, served }
    }

    /// Returns the server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a plain channel of tonic to the server.
    pub fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// Drains the server and waits for its end.
    pub async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

/// Open service with its server and the folder of its files.
#[derive(Debug)]
pub struct Running<S> {
    /// The service.
    pub service: OpenService<S>,
    /// Its server.
    pub server: Serving,
    /// Its files.
    pub folder: Folder,
    /// Registry of the services that it calls.
    pub registry: Registry,
}

impl<S: Service> Running<S> {
    /// Opens and serves the service of this folder. It finds no other services.
    pub async fn start(folder: Folder) -> Self {
        Self::start_among(folder, Registry::memory()).await
    }

    /// Opens and serves the service of this folder. It finds other services in `registry`.
    pub async fn start_among(folder: Folder, registry: Registry) -> Self {
        let service = folder.open(&registry).await;
        let server = Serving::start(service.server().unwrap()).await;
        Self { service, server, folder, registry }
    }

    /// Drains and closes the service, calls `between`, and opens the service again on the same files.
    pub async fn restart_after(self, between: impl AsyncFnOnce(&Folder)) -> Self {
        self.server.stop().await;
        self.service.close().await;
        between(&self.folder).await;
        Self::start_among(self.folder, self.registry).await
    }

    /// Drains and closes the service, and opens it again on the same files.
    pub async fn restart(self) -> Self {
        self.restart_after(async |_| ()).await
    }
}
