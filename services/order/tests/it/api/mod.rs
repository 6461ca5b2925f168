//! The service over a socket, with fakes of the services that it calls.

mod create;
mod fakes;
mod place;
mod read;
mod restart;
mod sagas;

use std::{sync::Arc, time::Duration};

use gantry_common_testing::{
    Folder, Serving, bearer, euros, eventually, new_id, refused, wrong_fields,
};
use gantry_contract::{Actor, access::Grants};
use gantry_discovery::Registry;
use gantry_identity::{Issues, TrustedKey, Verifier};
use gantry_order::Service;
use gantry_proto::{
    CONTRACT,
    google::r#type::PostalAddress,
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
use tonic::{Request, Response, Status, transport::Channel};
use uuid::Uuid;

use self::fakes::{FakeInventory, FakeUsers};

const ANN: Uuid = Uuid::from_u128(0xa);
const BOB: Uuid = Uuid::from_u128(0xb);
const ADMIN: Uuid = Uuid::from_u128(0xad);

/// Settings with short waits and timeouts.
const SETTINGS: &str = r#"
    clients.user.endpoint_wait = "300ms"
    clients.inventory.endpoint_wait = "300ms"
    pricing.taxes = [{ region = "DE", percent = 19 }]

    [order.saga]
    attempt_timeout = "500ms"
    step_deadline = "1500ms"
    retry_initial = "50ms"
    retry_max = "200ms"
    pause_initial = "100ms"
    pause_max = "200ms"
    poll = "50ms"
"#;

/// Serving service, with the fakes that it calls.
struct Running {
    it: gantry_common_testing::Running<Service>,
    client: OrderServiceClient<Channel>,
    users: FakeUsers,
    inventory: FakeInventory,
    /// Servers of the fakes: user, then inventory.
    others: Vec<Serving>,
}

impl Running {
    async fn start() -> Self {
        Self::start_set("").await
    }

    /// Starts with further settings of the sagas.
    async fn start_set(saga: &str) -> Self {
        let folder = Folder::new::<Service>(&[], &format!("{SETTINGS}{saga}"));
        let trusted = TrustedKey {
            issuer: "order".to_owned(),
            issues: Issues::Service,
            key: folder.make_key("order").public(),
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
        let others = vec![serve(user).await, serve(stock).await];
        let it = gantry_common_testing::Running::start_among(folder, registry).await;
        users.put(ANN, Tier::Regular, UserStatus::Active);
        users.put(BOB, Tier::Vip, UserStatus::Active);
        inventory.put("mug", euros(10, 0), 10);
        inventory.put("pen", euros(1, 50_000_000), 1_000);
        let client = OrderServiceClient::new(it.server.channel());
        Self { it, client, users, inventory, others }
    }

    /// Restarts the service on the same data.
    async fn restart(self) -> Self {
        let it = self.it.restart().await;
        Self { client: OrderServiceClient::new(it.server.channel()), it, ..self }
    }

    /// Returns a request of this user.
    fn by<T>(&self, user: Uuid, message: T) -> Request<T> {
        let role = if user == ADMIN { "admin" } else { "user" };
        bearer(&self.it.folder.user_token(&user.to_string(), role), message)
    }

    async fn create_by(&self, user: Uuid, message: CreateOrderRequest) -> Result<Order, Status> {
        let request = self.by(user, message);
        self.client.clone().create_order(request).await.map(Response::into_inner)
    }

    async fn create(&self, message: CreateOrderRequest) -> Result<Order, Status> {
        self.create_by(ANN, message).await
    }

    /// Creates a draft of Ann.
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

    /// Waits for the end of the order's saga. Returns the order.
    async fn finished(&self, id: &str) -> Order {
        let finished = || async {
            let order = self.get_by(ADMIN, id).await.unwrap();
            (order.status() != OrderStatus::Placed).then_some(order)
        };
        eventually("the end of the order's saga", finished).await
    }

    /// Waits until the service has called this method of the inventory.
    async fn inventory_called(&self, method: &'static str) {
        let called = || async { (self.inventory.calls(method) > 0).then_some(()) };
        eventually("a call of the inventory", called).await;
    }
}

fn ann() -> Actor {
    Actor { subject: ANN.to_string(), roles: vec!["user".to_owned()] }
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

/// Request to place an order without waiting.
fn place(order: &Order) -> PlaceOrderRequest {
    PlaceOrderRequest { id: order.id.clone(), request_id: new_id(), ..PlaceOrderRequest::default() }
}

fn wait(duration: Duration) -> Option<prost_types::Duration> {
    Some(duration.try_into().unwrap())
}

/// Request to place an order and wait for the outcome.
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
