//! The attacked suite and its callers.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use gantry_proto::{
    google::r#type::Money,
    shop::{
        inventory::v1::CreateProductRequest,
        order::v1::{CreateOrderRequest, OrderItem},
        user::v1::{CreateUserRequest, LoginRequest},
    },
};
use tempfile::TempDir;
use uuid::Uuid;

use crate::{error::BenchError, up::Up};
use gantry::{
    demo::clients::{Clients, as_bearer},
    suite::ORDER,
    up::ADMIN_EMAIL,
};

const SKU: &str = "TEA";

/// Running suite. Killed when dropped.
pub(super) struct Suite {
    up: Up,
    _folder: TempDir,
    /// Address of the order service, the attacked one.
    pub(super) address: SocketAddr,
    pub(super) attacker: User,
    pub(super) other: User,
}

/// User with a token and a draft.
pub(super) struct User {
    id: String,
    pub(super) token: String,
    pub(super) order: String,
}

impl User {
    /// Returns a request that creates a new order of the user.
    pub(super) fn new_order(&self) -> CreateOrderRequest {
        let item = OrderItem { sku: SKU.to_owned(), quantity: 1, ..OrderItem::default() };
        CreateOrderRequest {
            user_id: self.id.clone(),
            items: vec![item],
            request_id: Uuid::now_v7().to_string(),
            ..CreateOrderRequest::default()
        }
    }
}

impl Suite {
    /// Starts the suite on free ports, with two users.
    pub(super) async fn start() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::Replica)?;
        let up = Up::start(folder.path(), "").await?;
        let password = fs::read_to_string(up.data().join("admin-password"));
        let password = password.map_err(BenchError::Replica)?;
        let mut clients = Clients::new(up.offset, None)?;
        let admin = token(&mut clients, ADMIN_EMAIL, password.trim()).await?;
        let product = CreateProductRequest {
            sku: SKU.to_owned(),
            name: "Darjeeling".to_owned(),
            price: Some(Money { currency_code: "EUR".to_owned(), units: 8, nanos: 0 }),
            stock: 1_000_000,
            request_id: Uuid::now_v7().to_string(),
        };
        clients.inventory.create_product(as_bearer(product, &admin)).await?;
        let attacker = user(&mut clients, &admin, "mallory@example.com").await?;
        let other = user(&mut clients, &admin, "ann@example.com").await?;
        let address = up.address(ORDER)?;
        Ok(Self { up, _folder: folder, address, attacker, other })
    }

    /// Returns its current memory, in bytes.
    pub(super) fn memory(&self) -> Result<u64, BenchError> {
        self.up.memory()
    }
}

async fn token(clients: &mut Clients, email: &str, password: &str) -> Result<String, BenchError> {
    let login = LoginRequest { email: email.to_owned(), password: password.to_owned() };
    Ok(clients.auth.login(login).await?.into_inner().access_token)
}

async fn user(clients: &mut Clients, admin: &str, email: &str) -> Result<User, BenchError> {
    let password = Uuid::now_v7().to_string();
    let request = CreateUserRequest {
        email: email.to_owned(),
        name: "A caller".to_owned(),
        password: password.clone(),
        request_id: Uuid::now_v7().to_string(),
    };
    let id = clients.users.create_user(as_bearer(request, admin)).await?.into_inner().id;
    let token = token(clients, email, &password).await?;
    let mut user = User { id, token, order: String::new() };
    let order = as_bearer(user.new_order(), &user.token);
    user.order = clients.orders.create_order(order).await?.into_inner().id;
    Ok(user)
}

/// Returns a loopback address that no other caller has.
pub(super) fn attackers_address(number: usize) -> IpAddr {
    /// Number of addresses of an attacker: fewer are too few against limits per address.
    const ADDRESSES: usize = 4;
    Ipv4Addr::new(127, 0, 0, 2 + (number % ADDRESSES) as u8).into()
}
