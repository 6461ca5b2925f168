//! A service whose handlers return the errors of called services with a plain `?`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use futures_util::Stream;
use gantry_client::{Channel, ClientSettings};
use gantry_contract::{GantryReason, Reason, access::Grants};
use gantry_discovery::{Instance, Registry};
use gantry_identity::{
    Issues, ServiceSigner, SigningKey, TrustedKey, UserClaims, UserSigner, Verifier,
};
use gantry_probe::{
    CONTRACT, Probe,
    probe::v1::{
        ActRequest, ActResponse, AddRequest, AddResponse, CountRequest, CountResponse,
        RepeatRequest, RepeatResponse,
        absent_service_client::AbsentServiceClient,
        probe_service_client::ProbeServiceClient,
        probe_service_server::{ProbeService, ProbeServiceServer},
    },
};
use gantry_server::{RateSettings, Server, Settings};
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::{Code, Request, Response, Status, Streaming};

/// Calls another probe in each of its methods.
struct Front(Channel);

impl Front {
    fn back(&self) -> ProbeServiceClient<Channel> {
        ProbeServiceClient::new(self.0.clone())
    }
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl ProbeService for Front {
    async fn act(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        self.back().guarded(request.into_inner()).await
    }

    async fn brief(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        Ok(self.back().brief(request.into_inner()).await?)
    }

    async fn once(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        let mut absent = AbsentServiceClient::new(self.0.clone());
        Ok(absent.act(request.into_inner()).await?)
    }

    async fn guarded(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        Ok(self.back().brief(request.into_inner()).await?)
    }

    async fn scarce(&self, request: Request<ActRequest>) -> Result<Response<ActResponse>, Status> {
        Ok(self.back().scarce(request.into_inner()).await?)
    }

    type CountStream = Answers<CountResponse>;

    async fn count(
        &self,
        request: Request<CountRequest>,
    ) -> Result<Response<Self::CountStream>, Status> {
        let back = self.back();
        let message = request.into_inner();
        // Its own status comes at its end.
        Ok(Response::new(numbers(back, message)))
    }

    async fn add(
        &self,
        _: Request<Streaming<AddRequest>>,
    ) -> Result<Response<AddResponse>, Status> {
        Ok(self.back().add(tokio_stream::iter([])).await?)
    }

    type RepeatStream = Answers<RepeatResponse>;

    async fn repeat(
        &self,
        _: Request<Streaming<RepeatRequest>>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        let answers = self.back().repeat(tokio_stream::iter([])).await?;
        Ok(Response::new(Box::pin(answers.into_inner())))
    }
}

fn numbers(mut back: ProbeServiceClient<Channel>, message: CountRequest) -> Answers<CountResponse> {
    Box::pin(futures_util::stream::once(async move {
        back.act(ActRequest { word: "too long".to_owned(), ..ActRequest::default() }).await?;
        let mut numbers = back.count(message).await?.into_inner();
        numbers.message().await?.ok_or_else(|| Status::not_found("none"))
    }))
}

/// Trust of the back in the front.
#[derive(Clone, Copy, PartialEq)]
enum Trust {
    Granted,
    NotGranted,
    Stranger,
}

struct World {
    client: ProbeServiceClient<tonic::transport::Channel>,
    users: SigningKey,
    back: SocketAddr,
    _servers: Vec<JoinHandle<()>>,
}

impl World {
    /// Without `trust` there is no back at all.
    async fn new(trust: Option<Trust>) -> Self {
        let (users, front) = (SigningKey::generate(), SigningKey::generate());
        let key = |issuer: &str, issues, key: &SigningKey| TrustedKey {
            issuer: issuer.into(),
            issues,
            key: key.public(),
        };
        let verifier = |front: &SigningKey| {
            let users = key("gantry", Issues::Users, &users);
            Arc::new(Verifier::new("probe", vec![users, key("front", Issues::Service, front)]))
        };
        let known =
            if trust == Some(Trust::Stranger) { SigningKey::generate() } else { front.clone() };
        let granted = match trust {
            Some(Trust::Granted) => vec!["probes:read".to_owned()],
            _ => Vec::new(),
        };
        let back = Server::builder("probe", &CONTRACT)
            .service(ProbeServiceServer::new(Probe::default()))
            .settings(lenient())
            .grants(Grants::from([("front".to_owned(), granted)]))
            .verifier(verifier(&known));
        let (registry, mut servers) = (Registry::memory(), Vec::new());
        let address = match trust {
            Some(_) => {
                let (address, server) = serve(back.build().unwrap()).await;
                servers.push(server);
                address
            }
            None => "127.0.0.1:1".parse().unwrap(),
        };
        let registration =
            registry.registrar.register(Instance::new("probe", address)).await.unwrap();
        let channel = Channel::builder("probe")
            .contract(&CONTRACT)
            .registry(registry)
            .settings(ClientSettings::default().endpoint_wait(Duration::from_millis(300)))
            .signer(Arc::new(ServiceSigner::new("front", front.clone())))
            .build()
            .unwrap();
        let front = Server::builder("front", &CONTRACT)
            .service(ProbeServiceServer::new(Front(channel)))
            .settings(lenient())
            .verifier(verifier(&front));
        let (at, server) = serve(front.build().unwrap()).await;
        servers.push(server);
        servers.push(tokio::spawn(async move {
            let _registration = registration;
            std::future::pending::<()>().await;
        }));
        let at = tonic::transport::Channel::from_shared(format!("http://{at}")).unwrap();
        let client = ProbeServiceClient::new(at.connect().await.unwrap());
        Self { client, users, back: address, _servers: servers }
    }

    fn request<T>(&self, message: T, role: &str) -> Request<T> {
        let claims = UserClaims {
            sub: "ann".into(),
            email: "ann@example.org".into(),
            roles: vec![role.into()],
            permissions: vec![],
        };
        let signer = UserSigner::new(self.users.clone(), Duration::from_secs(60));
        let token = signer.token(&claims, std::time::SystemTime::now().into()).token;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    async fn act(&mut self, role: &str) -> Result<Response<ActResponse>, Status> {
        let request = self.request(ActRequest::default(), role);
        self.client.act(request).await
    }

    fn assert_told(&self, status: &Status, code: Code, reason: GantryReason, message: &str) {
        assert_eq!((status.code(), status.message()), (code, message), "{status:?}");
        assert!(reason.is_given_by(status), "{status:?}");
        let said = format!("{status:?}");
        let address = self.back.to_string();
        for secret in [&*address, "gantry-", "granted", "127.0.0.1", "probes:read"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
}

fn lenient() -> Settings {
    let mut settings = Settings::default();
    settings.limits.per_address = RateSettings::new(1e6, 1_000_000);
    settings
}

async fn serve(server: Server) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async { server.serve(listener, std::future::pending()).await.unwrap() };
    (address, tokio::spawn(serving))
}

#[tokio::test]
async fn a_refused_identity_of_the_service_is_internal() {
    for trust in [Trust::NotGranted, Trust::Stranger] {
        let mut world = World::new(Some(trust)).await;
        let status = world.act("admin").await.unwrap_err();
        world.assert_told(&status, Code::Internal, GantryReason::Internal, "internal error");
    }
}

#[tokio::test]
async fn a_permission_that_the_user_lacks_is_named() {
    let mut world = World::new(Some(Trust::Granted)).await;
    assert_eq!(world.act("admin").await.unwrap().into_inner().subject, "ann");
    let status = world.act("nobody").await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(status.message(), "the permission probes:read is missing");
    assert!(GantryReason::PermissionMissing.is_given_by(&status));
    assert!(!format!("{status:?}").contains("gantry-"), "{status:?}");
}

#[tokio::test]
async fn a_service_that_is_away_or_late_is_named_without_its_address() {
    let mut world = World::new(None).await;
    let status = world.act("admin").await.unwrap_err();
    let message = "the probe service cannot be reached";
    world.assert_told(&status, Code::Unavailable, GantryReason::NoEndpoint, message);

    let mut world = World::new(Some(Trust::Granted)).await;
    let nap = ActRequest { nap_ms: 60_000, ..ActRequest::default() };
    let request = world.request(nap, "admin");
    let status = world.client.guarded(request).await.unwrap_err();
    world.assert_told(
        &status,
        Code::DeadlineExceeded,
        GantryReason::DeadlineExceeded,
        "the probe service did not answer in time",
    );
}

#[tokio::test]
async fn a_method_that_the_other_service_lacks_is_internal() {
    let mut world = World::new(Some(Trust::Granted)).await;
    let request = world.request(ActRequest::default(), "admin");
    let status = world.client.once(request).await.unwrap_err();
    world.assert_told(&status, Code::Internal, GantryReason::Internal, "internal error");
}

#[tokio::test]
async fn the_status_at_the_end_of_a_stream_is_replaced_too() {
    let mut world = World::new(None).await;
    let request = world.request(CountRequest::default(), "admin");
    let mut numbers = world.client.count(request).await.unwrap().into_inner();
    let status = numbers.message().await.unwrap_err();
    let message = "the probe service cannot be reached";
    world.assert_told(&status, Code::Unavailable, GantryReason::NoEndpoint, message);

    let mut world = World::new(Some(Trust::Granted)).await;
    let request = world.request(CountRequest::default(), "admin");
    let mut numbers = world.client.count(request).await.unwrap().into_inner();
    let status = numbers.message().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "what is wrong with the call is told");
    assert!(GantryReason::ValidationFailed.is_given_by(&status));
    assert!(!format!("{status:?}").contains("gantry-"), "{status:?}");
}
