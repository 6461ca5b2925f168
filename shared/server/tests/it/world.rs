//! A running server, the keys that it trusts, and its clients.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use gantry_contract::{Actor, access::Grants};
use gantry_identity::{
    Acting, Issues, ServiceSigner, SigningKey, TrustedKey, UserClaims, UserSigner, Verifier,
};
use gantry_probe::{
    CONTRACT, Probe, Seen,
    probe::v1::{
        probe_service_client::ProbeServiceClient, probe_service_server::ProbeServiceServer,
    },
};
use gantry_server::{RateSettings, ServeError, Server, ServerBuilder, Settings, State, Status};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tonic::{Request, transport::Channel};
use tonic_types::StatusExt;

use crate::log;

/// Guard against a hanging test. Longer than any test takes on a busy machine.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Keys of the issuers that the server trusts.
#[derive(Debug)]
pub(crate) struct Keys {
    users: SigningKey,
    order: SigningKey,
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self { users: SigningKey::generate(), order: SigningKey::generate() }
    }

    pub(crate) fn verifier(&self) -> Arc<Verifier> {
        let trusted = |issuer: &str, issues, key: &SigningKey| TrustedKey {
            issuer: issuer.into(),
            issues,
            key: key.public(),
        };
        Arc::new(Verifier::new(
            "probe",
            vec![
                trusted("gantry", Issues::Users, &self.users),
                trusted("order", Issues::Service, &self.order),
            ],
        ))
    }

    /// Returns a token of the user "ann" with this role, issued `seconds_ago`.
    pub(crate) fn user(&self, role: &str, seconds_ago: u64) -> String {
        let claims = UserClaims {
            sub: "ann".into(),
            email: "ann@example.org".into(),
            roles: vec![role.into()],
            permissions: vec![],
        };
        let made = std::time::SystemTime::now() - Duration::from_secs(seconds_ago);
        let signer = UserSigner::new(self.users.clone(), Duration::from_secs(60));
        format!("Bearer {}", signer.token(&claims, made.into()).token)
    }

    /// Returns a token of the order service, for the user "ann" with this role or for itself.
    pub(crate) fn service(&self, role: Option<&str>) -> String {
        let acting = match role {
            Some(role) => {
                Acting::For(Actor { subject: "ann".into(), roles: vec![role.to_owned()] })
            }
            None => Acting::Itself { cause: None },
        };
        format!("Bearer {}", ServiceSigner::new("order", self.order.clone()).token("probe", acting))
    }
}

/// Settings with a high rate limit per address, because all calls of a test come from one.
pub(crate) fn lenient() -> Settings {
    let mut settings = Settings::default();
    settings.limits.per_address = RateSettings::new(1e6, 1_000_000);
    settings
}

/// A running server.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) keys: Keys,
    pub(crate) seen: Arc<Seen>,
    pub(crate) status: Status,
    shutdown: Option<oneshot::Sender<()>>,
    served: JoinHandle<Result<(), ServeError>>,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    /// Starts a server with a changed builder.
    pub(crate) async fn with(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        Self::serving(change, |server| server).await
    }

    /// Like `with`, and also changes the server that was built.
    pub(crate) async fn serving(
        change: impl FnOnce(ServerBuilder) -> ServerBuilder,
        finish: impl FnOnce(Server) -> Server,
    ) -> Self {
        log::install();
        let keys = Keys::new();
        let probe = Probe::default();
        let seen = Arc::clone(&probe.seen);
        let builder = Server::builder("probe", &CONTRACT)
            .service(ProbeServiceServer::new(probe))
            .settings(lenient())
            .verifier(keys.verifier())
            .grants(Grants::from([("order".into(), vec!["probes:read".into()])]));
        let server = finish(change(builder).build().unwrap());
        let mut status = server.status();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(listener, async {
            let _ = stopped.await;
        }));
        assert_eq!(status.started().await, State::Serving);
        Self { address, keys, seen, status, shutdown: Some(shutdown), served }
    }

    pub(crate) async fn channel(&self) -> Channel {
        let address = format!("http://{}", self.address);
        Channel::from_shared(address).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> ProbeServiceClient<Channel> {
        ProbeServiceClient::new(self.channel().await)
    }

    /// Starts the drain of the server.
    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    /// Waits until the server has ended.
    pub(crate) async fn ended(self) -> Result<(), ServeError> {
        timeout(TEST_TIMEOUT, self.served).await.expect("the drain is bounded").unwrap()
    }
}

/// Returns a request with this `authorization`.
pub(crate) fn with_token<T>(message: T, authorization: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    request
}

/// Returns the reason of a status in the domain "gantry".
pub(crate) fn reason(status: &tonic::Status) -> String {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no reason: {status:?}"));
    assert_eq!(info.domain, "gantry");
    info.reason
}

/// Waits until `holds` returns true.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < TEST_TIMEOUT, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
