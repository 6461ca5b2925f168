//! The service over a socket, with the services it calls on sockets of their own.

mod create;
mod fakes;
mod place;
mod read;
mod restart;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use gantry_config::Sources;
use gantry_contract::{Actor, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{Issues, TrustedKey, UserClaims, UserSigner, Verifier};
use gantry_order::Service;
use gantry_process::{OpenService, ProcessSettings, Service as _};
use gantry_proto::{
    CONTRACT,
    google::r#type::{Money, PostalAddress},
    shop::{
        inventory::v1::inventory_service_server::InventoryServiceServer,
        order::v1::{
            CreateOrderRequest, GetOrderRequest, Order, OrderItem, OrderStatus, PlaceOrderRequest,
            order_service_client::OrderServiceClient,
        },
        user::v1::{Tier, UserStatus, user_service_server::UserServiceServer},
    },
};
use gantry_server::{Server, ServerBuilder};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, transport::Channel};
use tonic_types::StatusExt;
use uuid::Uuid;

use self::fakes::{FakeInventory, FakeUsers};
use crate::files;

const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);
const ADMIN: Uuid = Uuid::from_u128(0xad);

/// The service, serving, and everything around it.
struct Running {
    client: OrderServiceClient<Channel>,
    users: FakeUsers,
    inventory: FakeInventory,
    tokens: UserSigner,
    service: OpenService<Service>,
    server: Serving,
    /// The services it calls.
    others: [Serving; 2],
    registry: Registry,
    folder: TempDir,
}

/// A server that serves until it is stopped, or its test ends.
struct Serving {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Serving {
    async fn start(server: Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut status = server.status();
        let stop = CancellationToken::new();
        let shutdown = stop.clone().cancelled_owned();
        let served = tokio::spawn(async move { server.serve(listener, shutdown).await.unwrap() });
        status.settled().await;
        Self { address, stop, served }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

impl Running {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (users_key, order_key) = files::keys(folder.path());
        let trusted = TrustedKey {
            issuer: "order".to_owned(),
            issues: Issues::Service,
            key: order_key.public(),
        };
        let registry = Registry::memory();
        let other = |name: &str, granted: &[&str]| {
            let granted = granted.iter().map(ToString::to_string).collect();
            Server::builder(name, &CONTRACT)
                .verifier(Arc::new(Verifier::new(name, vec![trusted.clone()])))
                .grants(Grants::from([("order".to_owned(), granted)]))
                .registry(registry.clone())
        };
        let serve = async |server: ServerBuilder| Serving::start(server.build().unwrap()).await;
        let (users, inventory) = (FakeUsers::default(), FakeInventory::default());
        let user = other("user", &["users:read"]).service(UserServiceServer::new(users.clone()));
        let stock = other("inventory", &["products:read", "reservations:write"])
            .service(InventoryServiceServer::new(inventory.clone()));
        let others = [serve(user).await, serve(stock).await];
        let (service, server) = open(&folder, &registry).await;
        users.put(ANN, Tier::Regular, UserStatus::Active);
        users.put(BOB, Tier::Vip, UserStatus::Active);
        inventory.put("mug", euros(10, 0), 10);
        inventory.put("pen", euros(1, 50_000_000), 1_000);
        Self {
            client: client(server.address),
            users,
            inventory,
            tokens: UserSigner::new(users_key, Duration::from_secs(600)),
            service,
            server,
            others,
            registry,
            folder,
        }
    }

    /// Drains and closes the service, and opens it again on the same data.
    async fn restart(self) -> Self {
        self.server.stop().await;
        self.service.close().await;
        let (service, server) = open(&self.folder, &self.registry).await;
        Self { client: client(server.address), service, server, ..self }
    }

    /// A request of this user.
    #[expect(clippy::disallowed_methods, reason = "the service checks tokens by the real time")]
    fn by<T>(&self, user: Uuid, message: T) -> Request<T> {
        let role = if user == ADMIN { "admin" } else { "user" };
        let claims = UserClaims {
            sub: user.to_string(),
            email: "somebody@example.com".to_owned(),
            roles: vec![role.to_owned()],
            permissions: Vec::new(),
        };
        let token = self.tokens.token(&claims, OffsetDateTime::now_utc()).token;
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        request
    }

    async fn create_by(&self, user: Uuid, message: CreateOrderRequest) -> Result<Order, Status> {
        let request = self.by(user, message);
        self.client.clone().create_order(request).await.map(Response::into_inner)
    }

    async fn create(&self, message: CreateOrderRequest) -> Result<Order, Status> {
        self.create_by(ANN, message).await
    }

    /// A draft of Ann's.
    async fn draft(&self, items: &[(&str, i32)]) -> Order {
        self.create(create(ANN, items)).await.unwrap()
    }

    async fn place_by(&self, user: Uuid, message: PlaceOrderRequest) -> Result<Order, Status> {
        let request = self.by(user, message);
        self.client.clone().place_order(request).await.map(Response::into_inner)
    }

    async fn place(&self, message: PlaceOrderRequest) -> Result<Order, Status> {
        self.place_by(ANN, message).await
    }

    async fn get_by(&self, user: Uuid, id: &str) -> Result<Order, Status> {
        let request = self.by(user, GetOrderRequest { id: id.to_owned() });
        self.client.clone().get_order(request).await.map(Response::into_inner)
    }

    /// The order, once it is no longer being carried through.
    async fn settled(&self, id: &str) -> Order {
        for _ in 0..1000 {
            let order = self.get_by(ADMIN, id).await.unwrap();
            if order.status() != OrderStatus::Placed {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the order never settled");
    }
}

/// The service in this folder, and a server of it.
async fn open(folder: &TempDir, registry: &Registry) -> (OpenService<Service>, Serving) {
    let file = files::settings(folder.path());
    let sources = Sources::new().defaults(Service::DEFAULTS).file(Some(&file));
    let settings: ProcessSettings<Service> = gantry_config::load(sources).unwrap();
    let service = OpenService::open(settings.service, registry.clone(), None).await.unwrap();
    let server = Serving::start(service.server().unwrap()).await;
    (service, server)
}

fn client(address: SocketAddr) -> OrderServiceClient<Channel> {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    OrderServiceClient::new(endpoint.connect_lazy())
}

fn ann() -> Actor {
    Actor { subject: ANN.to_string(), roles: vec!["user".to_owned()] }
}

#[expect(clippy::disallowed_methods, reason = "a caller makes its own ids")]
fn new_id() -> String {
    Uuid::now_v7().to_string()
}

fn euros(units: i64, nanos: i32) -> Money {
    Money { currency_code: "EUR".to_owned(), units, nanos }
}

fn create(user: Uuid, items: &[(&str, i32)]) -> CreateOrderRequest {
    let item = |(sku, quantity): &(&str, i32)| OrderItem {
        sku: (*sku).to_owned(),
        quantity: *quantity,
        ..OrderItem::default()
    };
    CreateOrderRequest {
        user_id: user.to_string(),
        items: items.iter().map(item).collect(),
        shipping_address: None,
        request_id: new_id(),
    }
}

/// Placing without waiting.
fn place(order: &Order) -> PlaceOrderRequest {
    PlaceOrderRequest { id: order.id.clone(), request_id: new_id(), ..PlaceOrderRequest::default() }
}

fn wait(duration: Duration) -> Option<prost_types::Duration> {
    Some(duration.try_into().unwrap())
}

/// Placing, and waiting for the outcome.
fn place_and_wait(order: &Order) -> PlaceOrderRequest {
    PlaceOrderRequest { wait: wait(Duration::from_secs(20)), ..place(order) }
}

fn address(region_code: &str) -> Option<PostalAddress> {
    Some(PostalAddress {
        region_code: region_code.to_owned(),
        address_lines: vec!["Unter den Linden 1".to_owned()],
        ..PostalAddress::default()
    })
}

/// Asserts that a call is refused so, and returns its status.
async fn refused<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, Status>>,
    code: Code,
    reason: &str,
) -> Status {
    let status = call.await.expect_err("a refusal");
    let info = status.get_details_error_info().expect("a reason");
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
    status
}

/// The fields that a refusal says are wrong.
fn wrong_fields(status: &Status) -> Vec<String> {
    let violations = status.get_details_bad_request().expect("BadRequest").field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}
