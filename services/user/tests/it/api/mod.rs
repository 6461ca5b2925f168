//! The service over a socket, called by tonic's client.

mod access;
mod admin;
mod auth;
mod secrets;
mod users;

use gantry_common_testing::{Folder, bearer, new_id, refused, wrong_fields};
use gantry_identity::{Acting, ServiceSigner};
use gantry_proto::shop::user::v1::{
    CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, LoginRequest,
    TokenPair, User, auth_service_client::AuthServiceClient,
    user_service_client::UserServiceClient,
};
use gantry_user::Service;
use tonic::{Request, Response, Status, transport::Channel};

const PASSWORD: &str = "correct horse";

/// Settings without an administrator, with cheap password hashes.
const SETTINGS: &str = r#"
    tokens.key_file = "{folder}/users.pem"
    passwords.memory_kib = 8
    passwords.iterations = 1
"#;

/// Settings of the first administrator.
const ADMIN: &str = r#"
    bootstrap.admin_email = "Admin@gantry.local"
    bootstrap.admin_password = "first administrator"
"#;

/// Folder of a service that creates no administrator.
fn folder() -> Folder {
    Folder::new::<Service>(&["order", "inventory"], SETTINGS)
}

/// Serving service, with a channel to it.
struct Running {
    it: gantry_common_testing::Running<Service>,
    channel: Channel,
}

impl Running {
    /// Starts a service that creates the administrator of its settings.
    async fn start() -> Self {
        let settings = [SETTINGS, ADMIN].concat();
        Self::start_in(Folder::new::<Service>(&["order", "inventory"], &settings)).await
    }

    async fn start_in(folder: Folder) -> Self {
        gantry_common_testing::Running::start(folder).await.into()
    }

    /// Restarts the service on the same data.
    async fn restart(self) -> Self {
        self.it.restart().await.into()
    }

    async fn login(&self, email: &str, password: &str) -> Result<TokenPair, Status> {
        login(&self.channel, email, password).await
    }

    /// Logs in as the administrator of the settings.
    async fn admin(&self) -> Client {
        let pair = self.login("admin@gantry.local", "first administrator").await.unwrap();
        self.with(pair.access_token)
    }

    /// Returns a client of the order service, which acts for itself or for a user.
    fn order(&self, acting: Acting) -> Client {
        self.with(self.signer("order").token("user", acting).to_string())
    }

    fn signer(&self, service: &str) -> ServiceSigner {
        self.it.folder.signer(service)
    }

    fn with(&self, token: String) -> Client {
        Client::new(&self.channel, Some(token))
    }

    /// Creates a user and logs them in.
    async fn customer(&self, email: &str) -> (User, Client) {
        let user = self.admin().await.create(new(email)).await.unwrap();
        let pair = self.login(email, PASSWORD).await.unwrap();
        (user, self.with(pair.access_token))
    }
}

impl From<gantry_common_testing::Running<Service>> for Running {
    fn from(it: gantry_common_testing::Running<Service>) -> Self {
        Self { channel: it.server.channel(), it }
    }
}

/// Client of the user service with the token of its caller.
struct Client {
    users: UserServiceClient<Channel>,
    token: Option<String>,
}

impl Client {
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
        match &self.token {
            Some(token) => bearer(token, message),
            None => Request::new(message),
        }
    }
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
