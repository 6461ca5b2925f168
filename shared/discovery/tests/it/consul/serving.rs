//! A server with real gRPC health that can be killed.

use std::net::SocketAddr;

use gantry_discovery::Instance;
use tokio::{net::TcpListener, runtime::Runtime};
use tonic::transport::{Identity, Server, ServerTlsConfig, server::TcpIncoming};
use tonic_health::server::{HealthReporter, health_reporter};

/// A server in a runtime of its own, so that [`kill`](Self::kill) ends all of it.
pub(super) struct Serving {
    pub(super) address: SocketAddr,
    pub(super) health: HealthReporter,
    runtime: Option<Runtime>,
}

impl Serving {
    pub(super) async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    /// Starts a server with TLS. Certificate and key are PEM.
    pub(super) async fn secure(cert: &str, key: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert, key));
        Self::with(Server::builder().tls_config(tls).unwrap(), "127.0.0.1:0").await
    }

    pub(super) async fn at(address: &str) -> Self {
        Self::with(Server::builder(), address).await
    }

    async fn with(mut server: Server, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap().into_std().unwrap();
        let address = listener.local_addr().unwrap();
        let (health, service) = health_reporter();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
            server.add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { address, health, runtime: Some(runtime) }
    }

    /// Returns the instance that the server registers for `service`.
    pub(super) fn instance(&self, service: &str) -> Instance {
        Instance::new(service, self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Kills the server and all of its connections.
    pub(super) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.kill();
    }
}
