//! Clients of a running suite, and the calls that tests repeat.

use std::time::{Duration, Instant};

use gantry_client::{Channel, ClientSettings};
use gantry_discovery::Registry;
use gantry_proto::{
    CONTRACT,
    google::r#type::Money,
    shop::{
        inventory::v1::{
            CreateProductRequest, GetProductRequest, Product,
            inventory_service_client::InventoryServiceClient,
        },
        order::v1::{
            CreateOrderRequest, GetOrderRequest, Order, OrderItem, PlaceOrderRequest,
            order_service_client::OrderServiceClient,
        },
        user::v1::{
            CreateUserRequest, GetUserRequest, LoginRequest, User,
            auth_service_client::AuthServiceClient, user_service_client::UserServiceClient,
        },
    },
};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::{
    cluster::{SERVICES, listing},
    process::{HANG_GUARD, Suite},
};

pub const PASSWORD: &str = "correct horse battery";

/// Clients of the suite, and an admin's token.
#[derive(Clone)]
pub struct Shop {
    pub auth: AuthServiceClient<Channel>,
    pub users: UserServiceClient<Channel>,
    pub inventory: InventoryServiceClient<Channel>,
    pub orders: OrderServiceClient<Channel>,
    /// Channel of `inventory`.
    pub inventory_channel: Channel,
    pub admin: String,
}

/// User with a token.
pub struct Customer {
    pub user: User,
    pub token: String,
}

impl Shop {
    /// Connects to every replica and logs in as the admin.
    pub async fn open(suite: &Suite) -> Self {
        let shop = Self::of(&listed(suite), &ClientSettings::default());
        shop.for_admin(&suite.admin_password()).await
    }

    /// Creates clients of the services in a registry, without a token.
    pub fn of(registry: &Registry, settings: &ClientSettings) -> Self {
        let channel = |service: &str| {
            Channel::builder(service)
                .contract(&CONTRACT)
                .registry(registry.clone())
                .settings(settings.clone())
                .build()
                .unwrap()
        };
        let (users, inventory) = (channel("user"), channel("inventory"));
        Self {
            auth: AuthServiceClient::new(users.clone()),
            users: UserServiceClient::new(users),
            inventory: InventoryServiceClient::new(inventory.clone()),
            orders: OrderServiceClient::new(channel("order")),
            inventory_channel: inventory,
            admin: String::new(),
        }
    }

    /// Logs in as the bootstrap admin.
    pub async fn for_admin(mut self, password: &str) -> Self {
        let started = Instant::now();
        self.admin = loop {
            match self.log_in("admin@gantry.local", password).await {
                Ok(token) => break token,
                // The registry may not have the user service yet.
                Err(status) => assert!(
                    status.code() == Code::Unavailable && started.elapsed() < HANG_GUARD,
                    "{status:?}"
                ),
            }
        };
        self
    }

    pub async fn log_in(&self, email: &str, password: &str) -> Result<String, Status> {
        let request = LoginRequest { email: email.to_owned(), password: password.to_owned() };
        Ok(self.auth.clone().login(request).await?.into_inner().access_token)
    }

    /// Creates a user and logs in.
    pub async fn customer(&self) -> Customer {
        let email = format!("{}@example.com", Uuid::now_v7().simple());
        let request = new_user(&email);
        let user = self.users.clone().create_user(bearer(request, &self.admin)).await;
        let token = self.log_in(&email, PASSWORD).await.unwrap();
        Customer { user: user.unwrap().into_inner(), token }
    }

    /// Creates a product with the price 10 EUR.
    pub async fn product(&self, stock: i32) -> Product {
        let request = new_product(&format!("SKU-{}", Uuid::now_v7().simple()), stock);
        let product = self.inventory.clone().create_product(bearer(request, &self.admin)).await;
        product.unwrap().into_inner()
    }

    /// Returns the available and the reserved quantity.
    pub async fn stock(&self, sku: &str) -> (i32, i32) {
        let request = GetProductRequest { sku: sku.to_owned() };
        let product = self.inventory.clone().get_product(bearer(request, &self.admin)).await;
        let product = product.unwrap().into_inner();
        (product.stock, product.reserved)
    }

    pub async fn draft(&self, customer: &Customer, items: &[(&str, i32)]) -> Result<Order, Status> {
        let request = new_order(&customer.user.id, items);
        let order = self.orders.clone().create_order(bearer(request, &customer.token)).await;
        Ok(order?.into_inner())
    }

    /// Places an order and waits for its outcome.
    pub async fn place(&self, customer: &Customer, order: &Order) -> Result<Order, Status> {
        let request = PlaceOrderRequest {
            id: order.id.clone(),
            request_id: id(),
            wait: Some(Duration::from_secs(25).try_into().unwrap()),
            ..PlaceOrderRequest::default()
        };
        Ok(self.orders.clone().place_order(bearer(request, &customer.token)).await?.into_inner())
    }

    pub async fn user(&self, id: &str) -> User {
        let request = GetUserRequest { id: id.to_owned() };
        self.users.clone().get_user(bearer(request, &self.admin)).await.unwrap().into_inner()
    }

    pub async fn order(&self, id: &str) -> Order {
        let request = GetOrderRequest { id: id.to_owned() };
        self.orders.clone().get_order(bearer(request, &self.admin)).await.unwrap().into_inner()
    }

    pub async fn one_confirmed_order(&self) -> (User, Order) {
        let customer = self.customer().await;
        let product = self.product(10).await;
        let order = self.draft(&customer, &[(&product.sku, 3)]).await.unwrap();
        let order = self.place(&customer, &order).await.unwrap();
        (customer.user, order)
    }
}

/// Returns a registry with the addresses of a suite's replicas.
pub fn listed(suite: &Suite) -> Registry {
    let addresses =
        |service: &str| suite.addresses(service).iter().map(ToString::to_string).collect();
    listing(SERVICES.iter().map(|&service| (service.to_owned(), addresses(service))).collect())
}

/// Returns a request with a user's token.
pub fn bearer<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

pub fn id() -> String {
    Uuid::now_v7().to_string()
}

pub fn new_user(email: &str) -> CreateUserRequest {
    CreateUserRequest {
        email: email.to_owned(),
        name: "Ada Lovelace".to_owned(),
        password: PASSWORD.to_owned(),
        request_id: id(),
    }
}

pub fn new_product(sku: &str, stock: i32) -> CreateProductRequest {
    CreateProductRequest {
        sku: sku.to_owned(),
        name: "A thing".to_owned(),
        price: Some(Money { currency_code: "EUR".to_owned(), units: 10, nanos: 0 }),
        stock,
        request_id: id(),
    }
}

pub fn new_order(user_id: &str, items: &[(&str, i32)]) -> CreateOrderRequest {
    let items = items.iter().map(|(sku, quantity)| OrderItem {
        sku: (*sku).to_owned(),
        quantity: *quantity,
        ..OrderItem::default()
    });
    CreateOrderRequest {
        user_id: user_id.to_owned(),
        items: items.collect(),
        shipping_address: None,
        request_id: id(),
    }
}
