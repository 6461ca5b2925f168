//! Fixtures that several modules share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use gantry_common_testing::{Folder, Serving, eventually};
use gantry_contract::{Failure, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{Issues, TrustedKey, Verifier};
use gantry_money::{Currency, Money};
use gantry_notification::{
    Service,
    application::{Cause, MailId, NewMail},
    domain::Notice,
    outbound::sql::SqlJobs,
};
use gantry_proto::{
    CONTRACT,
    shop::{
        errors::v1::Reason,
        user::v1::{
            CreateUserRequest, GetUserRequest, ListUsersRequest, ListUsersResponse, User,
            UserStatus,
            user_service_server::{UserService, UserServiceServer},
        },
    },
};
use gantry_server::{Server, authorized};
use gantry_sql::Database;
use tonic::{Code, Request, Response, Status, async_trait};
use uuid::Uuid;

pub(crate) const ANN: Uuid = Uuid::from_u128(0xa);

/// Returns a welcome mail to Ann, caused by the event of this id.
pub(crate) fn welcome(event: u128) -> NewMail {
    NewMail {
        id: MailId(Uuid::from_u128(event)),
        user: ANN,
        notice: Notice::Welcome,
        cause: Cause::default(),
    }
}

pub(crate) fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

/// Writes a mail, as the effect of an event does.
pub(crate) async fn write(database: &Database, jobs: &SqlJobs, mail: NewMail) {
    let written: Result<(), sqlx::Error> = database
        .write((jobs.clone(), mail), |conn, (jobs, mail)| Box::pin(jobs.insert(conn, mail)))
        .await;
    written.unwrap();
}

/// Status, failures and cause of a mail.
pub(crate) type State = (String, i64, Option<String>);

pub(crate) async fn state(database: &Database, event: u128) -> State {
    let mut conn = database.reader().await.unwrap();
    let query = conn.query("SELECT status, failures, cause FROM mails WHERE id = $1");
    query.bind(Uuid::from_u128(event)).fetch_one().await.unwrap()
}

/// Waits until a mail has this status.
pub(crate) async fn until(database: &Database, event: u128, status: &str) -> State {
    let reached = async || Some(state(database, event).await).filter(|now| now.0 == status);
    eventually(status, reached).await
}

/// User service of the tests.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeUsers(Arc<Mutex<HashMap<String, (String, String)>>>);

impl FakeUsers {
    pub(crate) fn put(&self, id: Uuid, name: &str, email: &str) {
        let user = (name.to_owned(), email.to_owned());
        self.0.lock().unwrap().insert(id.to_string(), user);
    }
}

#[async_trait]
impl UserService for FakeUsers {
    async fn get_user(&self, request: Request<GetUserRequest>) -> Result<Response<User>, Status> {
        assert_eq!(authorized(&request).caller.subject(), "service:notification");
        let id = request.into_inner().id;
        let Some((name, email)) = self.0.lock().unwrap().get(&id).cloned() else {
            let reason = Reason::UserNotFound;
            return Err(Failure::new(Code::NotFound, reason, "refused by the fake").into());
        };
        let status = UserStatus::Active.into();
        Ok(Response::new(User { id, name, email, status, ..User::default() }))
    }

    async fn create_user(&self, _: Request<CreateUserRequest>) -> Result<Response<User>, Status> {
        Err(Status::unimplemented("not needed by notification"))
    }

    async fn list_users(
        &self,
        _: Request<ListUsersRequest>,
    ) -> Result<Response<ListUsersResponse>, Status> {
        Err(Status::unimplemented("not needed by notification"))
    }
}

/// Serves the fake user service to the notification service of this folder.
pub(crate) async fn serve_users(
    folder: &Folder,
    users: &FakeUsers,
    registry: &Registry,
) -> Serving {
    let trusted = TrustedKey {
        issuer: "notification".to_owned(),
        issues: Issues::Service,
        key: folder.make_key("notification").public(),
    };
    let granted = vec!["users:read".to_owned()];
    let server = Server::builder("user", &CONTRACT)
        .verifier(Arc::new(Verifier::new("user", vec![trusted])))
        .grants(Grants::from([("notification".to_owned(), granted)]))
        .registry(registry.clone())
        .service(UserServiceServer::new(users.clone()));
    Serving::start(server.build().unwrap()).await
}

/// Serving notification service, with the fake user service.
pub(crate) struct Running {
    pub(crate) it: gantry_common_testing::Running<Service>,
    pub(crate) users: FakeUsers,
    _others: Serving,
}

impl Running {
    /// Starts the service with these settings of mails.
    pub(crate) async fn start(settings: &str) -> Self {
        let folder = Folder::new::<Service>(&[], &format!("{SETTINGS}\n{settings}"));
        let (users, registry) = (FakeUsers::default(), Registry::memory());
        users.put(ANN, "Ann", "ann@example.org");
        let others = serve_users(&folder, &users, &registry).await;
        let it = gantry_common_testing::Running::start_among(folder, registry).await;
        Self { it, users, _others: others }
    }

    pub(crate) fn database(&self) -> &Database {
        self.it.service.service().jobs().database()
    }

    pub(crate) async fn write(&self, mail: NewMail) {
        write(self.database(), self.it.service.service().jobs(), mail).await;
    }
}

/// Settings with short waits.
const SETTINGS: &str = r#"
    clients.user.endpoint_wait = "300ms"
    sender.poll = "20ms"
    sender.retry_min = "50ms"
    sender.retry_max = "100ms"
"#;

/// Returns the settings of an SMTP server without TLS.
pub(crate) fn smtp(port: u16) -> String {
    format!(
        "mail.transport = 'smtp'
        mail.smtp.host = '127.0.0.1'
        mail.smtp.port = {port}
        mail.smtp.security = 'plaintext'
        mail.smtp.timeout = '2s'"
    )
}
