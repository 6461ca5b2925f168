//! Calls through the whole stack: our client's channel, our server, and a service's database.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_contract::page;
use gantry_discovery::Registry;
use gantry_identity::{Acting, ServiceSigner, SigningKey, UserClaims, UserSigner};
use gantry_proto::shop::{
    inventory::v1::{ReservationItem, ReserveStockRequest},
    order::v1::{
        CreateOrderRequest, GetOrderRequest, ListOrdersRequest, OrderItem, OrderStatus,
        PlaceOrderRequest,
    },
    user::v1::GetUserRequest,
};
use time::OffsetDateTime;
use tonic::Status;
use uuid::Uuid;

use super::{
    goods::{Goods, Kind},
    plan::Call,
};
use crate::{
    callers::{Caller, Method},
    error::BenchError,
    up::Up,
};
use gantry::{
    demo::clients::{Clients, ConnectError, as_bearer},
    suite::{INVENTORY, ORDER, SERVICES},
};

/// Lifetime of the users' tokens: longer than the benchmark.
const TOKENS_LIVE: Duration = Duration::from_hours(12);

/// Name of the list of orders in page tokens.
const ORDERS: &str = "shop.order.v1.Order";

/// Caller through the stack.
#[derive(Clone)]
pub(super) struct Stack {
    clients: Clients,
    credentials: Arc<Credentials>,
    pub(super) goods: Arc<Goods>,
    call: Call,
    /// Token of a page of all orders, for a list of the administrator. None: a user's own orders.
    page: Option<String>,
    made: Arc<AtomicU64>,
}

struct Credentials {
    /// Tokens of the users, by their number.
    users: Vec<String>,
    admin: String,
    order_service: ServiceSigner,
}

impl Stack {
    /// Creates a caller of these suites, which have the same databases and keys.
    pub(super) fn new(
        suites: &[&Up],
        keys: &Path,
        users: u64,
        goods: &Arc<Goods>,
    ) -> Result<Self, BenchError> {
        let mut places = Vec::new();
        for service in SERVICES {
            let addresses = suites.iter().map(|suite| suite.address(*service));
            let addresses = addresses.map(|address| address.map(|it| it.to_string()));
            places.push((service.name, addresses.collect::<Result<Vec<_>, _>>()?));
        }
        let registry = Registry::fixed(places).map_err(ConnectError::from)?;
        let key = |name: &str| SigningKey::load(&keys.join(format!("{name}.pem")));
        let signer = UserSigner::new(key("users-tokens")?, TOKENS_LIVE);
        let token = |number, role: &str| {
            let claims = UserClaims {
                sub: Kind::User.id(number).to_string(),
                email: format!("shopper-{number}@example.com"),
                roles: vec![role.to_owned()],
                permissions: Vec::new(),
            };
            signer.token(&claims, OffsetDateTime::now_utc()).token
        };
        let credentials = Credentials {
            users: (0..users).map(|number| token(number, "user")).collect(),
            admin: token(0, "admin"),
            order_service: ServiceSigner::new(ORDER.name, key(ORDER.name)?),
        };
        Ok(Self {
            clients: Clients::found_in(&registry, None)?,
            credentials: credentials.into(),
            goods: Arc::clone(goods),
            call: Call::GetUser,
            page: None,
            made: Arc::default(),
        })
    }

    /// Returns a caller that makes this call.
    pub(super) fn of(self, call: Call) -> Self {
        Self { call, ..self }
    }

    /// Returns a caller that lists all orders: those before a stored order, or the newest.
    pub(super) fn listing_all(self, before: Option<u64>) -> Self {
        let token = before.map(|number| page::token(ORDERS, &Kind::Order.id(number).to_string()));
        Self { call: Call::ListOrders, page: Some(token.unwrap_or_default()), ..self }
    }

    /// Returns the number of calls that were answered.
    pub(super) fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    async fn make(&mut self) -> Result<(), Status> {
        let number = match self.call {
            Call::PlaceOrder => self.goods.draft().ok_or_else(no_draft)?,
            Call::GetOrder => self.goods.order(),
            _ => self.goods.next(),
        };
        let user = self.goods.user(number);
        let request_id = Uuid::now_v7().to_string();
        let token = self.credentials.users.get(user as usize).cloned().unwrap_or_default();
        let user_id = Kind::User.id(user).to_string();
        match self.call {
            Call::CreateOrder => {
                let sku = self.goods.sku(number);
                let items = vec![OrderItem { sku, quantity: 1, ..OrderItem::default() }];
                let shipping_address = None;
                let order = CreateOrderRequest { user_id, items, shipping_address, request_id };
                self.clients.orders.create_order(as_bearer(order, &token)).await?;
            }
            Call::PlaceOrder => {
                let placement = PlaceOrderRequest {
                    id: Kind::Draft.id(number).to_string(),
                    request_id,
                    wait: Some(WAIT),
                    ..PlaceOrderRequest::default()
                };
                let placed = self.clients.orders.place_order(as_bearer(placement, &token)).await?;
                let order = placed.into_inner();
                if order.status() != OrderStatus::Confirmed {
                    return Err(Status::internal(format!("order {:?}", order.status())));
                }
            }
            Call::ReserveStock => {
                let token = &self.credentials.order_service;
                let token = token.token(INVENTORY.name, Acting::Itself { cause: None });
                let item = ReservationItem { sku: self.goods.sku(number), quantity: 1 };
                let reservation = ReserveStockRequest {
                    reservation_id: Uuid::now_v7().to_string(),
                    items: vec![item],
                    request_id,
                };
                self.clients.inventory.reserve_stock(as_bearer(reservation, &token)).await?;
            }
            Call::GetUser => {
                let request = as_bearer(GetUserRequest { id: user_id }, &token);
                self.clients.users.get_user(request).await?;
            }
            Call::GetOrder => {
                let id = Kind::Order.id(number).to_string();
                self.clients.orders.get_order(as_bearer(GetOrderRequest { id }, &token)).await?;
            }
            Call::ListOrders => {
                let (token, page_token) = match &self.page {
                    Some(page) => (&self.credentials.admin, page.clone()),
                    None => (&token, String::new()),
                };
                let request = ListOrdersRequest { page_token, ..ListOrdersRequest::default() };
                self.clients.orders.list_orders(as_bearer(request, token)).await?;
            }
        }
        Ok(())
    }
}

/// Longest wait for the outcome of an order.
const WAIT: prost_types::Duration = prost_types::Duration { seconds: 30, nanos: 0 };

impl Caller for Stack {
    async fn call(&mut self, _: Method, _: u64) -> Result<u32, Status> {
        self.make().await?;
        self.made.fetch_add(1, Ordering::Relaxed);
        Ok(0)
    }
}

/// Error of a benchmark that is too fast for its stored rows.
pub(super) fn no_draft() -> Status {
    Status::resource_exhausted("all stored drafts are placed: take shorter runs")
}
