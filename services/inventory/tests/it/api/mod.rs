//! The service over a socket, called by tonic's own client.

mod access;
mod products;
mod reservations;

use std::{future::Future, net::SocketAddr, path::PathBuf, time::Duration};

use gantry_config::Sources;
use gantry_identity::{Acting, ServiceSigner, UserClaims, UserSigner};
use gantry_inventory::Service;
use gantry_process::{ProcessSettings, Service as _};
use gantry_proto::{
    google::r#type::Money,
    shop::inventory::v1::{
        CommitReservationRequest, CreateProductRequest, GetProductRequest, Product,
        ReleaseReservationRequest, Reservation, ReservationItem, ReserveStockRequest,
        inventory_service_client::InventoryServiceClient,
    },
};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

use crate::files;

/// The service, serving, and what its callers need.
struct Running {
    client: InventoryServiceClient<Channel>,
    users: UserSigner,
    order: ServiceSigner,
    stop: CancellationToken,
    served: JoinHandle<Result<(), gantry_process::ServeError>>,
    folder: TempDir,
}

impl Running {
    async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    async fn start_in(folder: TempDir) -> Self {
        let (users, order) = files::keys(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let file = files::settings(folder.path());
        let sources = Sources::new().defaults(Service::DEFAULTS).file(Some(&file));
        let own = gantry_config::load_shown::<ProcessSettings<Service>>(sources).unwrap();
        let stop = CancellationToken::new();
        let shutdown = stop.clone().cancelled_owned();
        let served = tokio::spawn(gantry_process::serve::<Service>(listener, own, shutdown));
        let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
        Self {
            client: InventoryServiceClient::new(endpoint.connect_lazy()),
            users: UserSigner::new(users, Duration::from_secs(60)),
            order: ServiceSigner::new("order", order),
            stop,
            served,
            folder,
        }
    }

    /// Drains and starts again on the same data.
    async fn restart(self) -> Self {
        self.restart_after(async |_| ()).await
    }

    /// Drains, does something to the database, and starts again on it.
    async fn restart_after(self, between: impl AsyncFnOnce(PathBuf)) -> Self {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        between(files::database(self.folder.path())).await;
        Self::start_in(self.folder).await
    }

    /// The token of a user with this role.
    #[expect(clippy::disallowed_methods, reason = "the service checks tokens by the real time")]
    fn token(&self, role: &str) -> String {
        let claims = UserClaims {
            sub: format!("{role}-1"),
            email: format!("{role}@example.com"),
            roles: vec![role.to_owned()],
            permissions: Vec::new(),
        };
        self.users.token(&claims, OffsetDateTime::now_utc()).token
    }

    fn by_admin<T>(&self, message: T) -> Request<T> {
        with_token(&self.token("admin"), message)
    }

    /// A request of the order service on its own account.
    fn by_order<T>(&self, message: T) -> Request<T> {
        with_token(&self.order.token("inventory", Acting::Itself { cause: None }), message)
    }

    async fn stock(&self, sku: &str, stock: i32) -> Product {
        let request = self.by_admin(create(sku, stock));
        self.client.clone().create_product(request).await.unwrap().into_inner()
    }

    async fn product(&self, sku: &str) -> Product {
        let request = self.by_admin(GetProductRequest { sku: sku.to_owned() });
        self.client.clone().get_product(request).await.unwrap().into_inner()
    }

    /// Available and reserved.
    async fn counts(&self, sku: &str) -> (i32, i32) {
        let product = self.product(sku).await;
        (product.stock, product.reserved)
    }

    async fn reserve(&self, request: ReserveStockRequest) -> Result<Reservation, Status> {
        let request = self.by_order(request);
        self.client.clone().reserve_stock(request).await.map(Response::into_inner)
    }

    async fn commit(&self, id: Uuid) -> Result<Reservation, Status> {
        let request = CommitReservationRequest { reservation_id: id.into(), request_id: new_id() };
        let request = self.by_order(request);
        self.client.clone().commit_reservation(request).await.map(Response::into_inner)
    }

    async fn release(&self, id: Uuid) -> Result<Reservation, Status> {
        let request = ReleaseReservationRequest { reservation_id: id.into(), request_id: new_id() };
        let request = self.by_order(request);
        self.client.clone().release_reservation(request).await.map(Response::into_inner)
    }
}

fn with_token<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[expect(clippy::disallowed_methods, reason = "a caller makes its own ids")]
fn id() -> Uuid {
    Uuid::now_v7()
}

fn new_id() -> String {
    id().to_string()
}

fn euros(units: i64, nanos: i32) -> Option<Money> {
    Some(Money { currency_code: "EUR".to_owned(), units, nanos })
}

fn create(sku: &str, stock: i32) -> CreateProductRequest {
    CreateProductRequest {
        sku: sku.to_owned(),
        name: format!("The {sku}"),
        price: euros(19, 990_000_000),
        stock,
        request_id: new_id(),
    }
}

fn reserve(id: Uuid, items: &[(&str, i32)]) -> ReserveStockRequest {
    let item = |(sku, quantity): &(&str, i32)| ReservationItem {
        sku: (*sku).to_owned(),
        quantity: *quantity,
    };
    ReserveStockRequest {
        reservation_id: id.into(),
        items: items.iter().map(item).collect(),
        request_id: new_id(),
    }
}

/// The code and the reason of a refusal.
#[track_caller]
fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, Status) {
    let status = answer.expect_err("a refusal");
    let reason = status.get_details_error_info().expect("a reason").reason;
    (status.code(), reason, status)
}

/// Asserts that a call is refused so, and returns its status.
async fn refused<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, Status>>,
    code: Code,
    reason: &str,
) -> Status {
    let (found, why, status) = refusal(call.await);
    assert_eq!((found, why.as_str()), (code, reason), "{status:?}");
    status
}

/// The fields that a refusal says are wrong.
fn wrong_fields(status: &Status) -> Vec<String> {
    let mut fields: Vec<_> = status
        .get_details_bad_request()
        .expect("BadRequest")
        .field_violations
        .into_iter()
        .map(|violation| violation.field)
        .collect();
    fields.sort();
    fields
}
