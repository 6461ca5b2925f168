//! The service over a socket, called by tonic's own client.

mod access;
mod admin;
mod auth;
mod secrets;
mod users;

use std::{future::Future, net::SocketAddr, path::PathBuf};

use gantry_config::Sources;
use gantry_identity::{Acting, ServiceSigner, SigningKey};
use gantry_process::{ProcessSettings, Service as _};
use gantry_proto::shop::user::v1::{
    CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, LoginRequest,
    TokenPair, User, auth_service_client::AuthServiceClient,
    user_service_client::UserServiceClient,
};
use gantry_user::Service;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::files;

const PASSWORD: &str = "correct horse";

/// The service, serving, and what its callers need.
struct Running {
    channel: Channel,
    order: ServiceSigner,
    inventory: ServiceSigner,
    stop: CancellationToken,
    served: JoinHandle<Result<(), gantry_process::ServeError>>,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        files::keys(folder.path());
        files::settings(folder.path());
        Self::start_in(folder).await
    }

    async fn start_in(folder: TempDir) -> Self {
        // Without the environment's settings.
        let file = folder.path().join("settings.toml");
        let sources = Sources::new().defaults(Service::DEFAULTS).file(Some(&file));
        let mut own = gantry_config::load_shown::<ProcessSettings<Service>>(sources).unwrap();
        let listener = TcpListener::bind(own.settings.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        own.settings.discovery = gantry_discovery::Settings::default();
        let served = tokio::spawn(gantry_process::serve::<Service>(
            listener,
            own,
            stop.clone().cancelled_owned(),
        ));
        let signer = |service: &str| {
            let key = SigningKey::load(&folder.path().join(format!("{service}.pem")));
            ServiceSigner::new(service, key.unwrap())
        };
        Self {
            channel: channel(address),
            order: signer("order"),
            inventory: signer("inventory"),
            stop,
            served,
            folder,
        }
    }

    /// Drains and starts again on the same data.
    async fn restart(self) -> Self {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        Self::start_in(self.folder).await
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("data/user.db")
    }

    async fn login(&self, email: &str, password: &str) -> Result<TokenPair, Status> {
        login(&self.channel, email, password).await
    }

    /// The administrator of the settings.
    async fn admin(&self) -> As {
        let pair = self.login("admin@gantry.local", "first administrator").await.unwrap();
        self.with(pair.access_token)
    }

    /// The order service, on its own account or for somebody.
    fn order(&self, acting: Acting) -> As {
        self.with(self.order.token("user", acting).to_string())
    }

    fn with(&self, token: String) -> As {
        As::new(&self.channel, Some(token))
    }

    /// Creates a user and logs them in.
    async fn customer(&self, email: &str) -> (User, As) {
        let user = self.admin().await.create(new(email)).await.unwrap();
        let pair = self.login(email, PASSWORD).await.unwrap();
        (user, self.with(pair.access_token))
    }
}

/// Somebody who calls.
struct As {
    users: UserServiceClient<Channel>,
    token: Option<String>,
}

impl As {
    fn new(channel: &Channel, token: Option<String>) -> Self {
        Self { users: UserServiceClient::new(channel.clone()), token }
    }

    async fn create(&self, request: CreateUserRequest) -> Result<User, Status> {
        let request = self.request(request);
        self.users.clone().create_user(request).await.map(Response::into_inner)
    }

    async fn get(&self, id: &str) -> Result<User, Status> {
        let request = self.request(GetUserRequest { id: id.to_owned() });
        self.users.clone().get_user(request).await.map(Response::into_inner)
    }

    async fn list(&self, request: ListUsersRequest) -> Result<ListUsersResponse, Status> {
        let request = self.request(request);
        self.users.clone().list_users(request).await.map(Response::into_inner)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let bearer = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }
}

fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy()
}

async fn login(channel: &Channel, email: &str, password: &str) -> Result<TokenPair, Status> {
    let request = LoginRequest { email: email.to_owned(), password: password.to_owned() };
    AuthServiceClient::new(channel.clone()).login(request).await.map(Response::into_inner)
}

fn new(email: &str) -> CreateUserRequest {
    CreateUserRequest {
        email: email.to_owned(),
        name: "Ann Smith".to_owned(),
        password: PASSWORD.to_owned(),
        request_id: new_id(),
    }
}

#[expect(clippy::disallowed_methods, reason = "callers make their own ids")]
fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// Asserts that a call is refused so, and returns its status.
async fn refused<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, Status>>,
    code: Code,
    reason: &str,
) -> Status {
    let status = call.await.expect_err("a refusal");
    let found = status.get_details_error_info().expect("a reason").reason;
    assert_eq!((status.code(), found.as_str()), (code, reason), "{status:?}");
    status
}

/// The fields that a refusal says are wrong.
fn wrong_fields(status: &Status) -> Vec<String> {
    let details = status.get_details_bad_request().expect("BadRequest");
    let mut fields: Vec<_> = details.field_violations.into_iter().map(|v| v.field).collect();
    fields.sort();
    fields
}
