//! The attacked suite and its callers.

use std::{
    fs::{self, File},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    process::Stdio,
    time::Duration,
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
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::{
    bench::error::BenchError,
    demo::clients::{Clients, as_bearer},
    suite::{ORDER, SERVICES, admin_address},
    up::ADMIN_EMAIL,
};

/// Start timeout: longer than a start takes on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

const SKU: &str = "TEA";

/// Running suite. Killed when dropped.
pub(super) struct Suite {
    process: Child,
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
        let offset = free_offset()?;
        let process = up(&folder, offset).map_err(BenchError::Replica)?;
        let mut suite = Starting { process, folder, offset };
        suite.ready().await?;
        suite.people().await
    }

    /// Returns its current memory, in bytes.
    pub(super) fn memory(&self) -> Result<u64, BenchError> {
        let path = format!("/proc/{}/status", self.process.id().unwrap_or_default());
        let status = fs::read_to_string(path).map_err(BenchError::Replica)?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = resident.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        kibibytes.map(|kib: u64| kib * 1024).ok_or(BenchError::Nonsense(status))
    }
}

fn up(folder: &TempDir, offset: u16) -> io::Result<Child> {
    let path = |name: &str| folder.path().join(name);
    // For a look after a failure.
    let log = File::create(path("log"))?;
    Command::new(std::env::current_exe()?)
        .args(["up", "--port-offset", &offset.to_string()])
        .arg("--data-dir")
        .arg(path("data"))
        .arg("--ready-file")
        .arg(path("ready"))
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
}

/// Returns a port offset at which all ports of the suite are free.
fn free_offset() -> Result<u16, BenchError> {
    let is_free = |offset: &u16| {
        let services = SERVICES.iter().map(|service| service.address(0, *offset));
        let mut addresses = services.chain([admin_address(*offset)]);
        addresses.all(|address| address.is_ok_and(|address| TcpListener::bind(address).is_ok()))
    };
    let mut offsets = (0..100).map(|_| fastrand::u16(1_000..10_000));
    offsets.find(is_free).ok_or(BenchError::Replica(io::ErrorKind::AddrInUse.into()))
}

struct Starting {
    process: Child,
    folder: TempDir,
    offset: u16,
}

impl Starting {
    async fn ready(&mut self) -> Result<(), BenchError> {
        let until = Instant::now() + START_TIMEOUT;
        while !self.folder.path().join("ready").exists() {
            if self.process.try_wait().map_err(BenchError::Replica)?.is_some() {
                let log = fs::read_to_string(self.folder.path().join("log"));
                return Err(BenchError::Nonsense(log.unwrap_or_default()));
            }
            if Instant::now() > until {
                return Err(BenchError::Late("the suite did not start", START_TIMEOUT));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn people(self) -> Result<Suite, BenchError> {
        let password = fs::read_to_string(self.folder.path().join("data/admin-password"));
        let password = password.map_err(BenchError::Replica)?;
        let mut clients = Clients::new(self.offset, None)?;
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
        let Self { process, folder, offset } = self;
        let address = ORDER.address(0, offset).map_err(crate::demo::clients::ConnectError::from)?;
        Ok(Suite { process, _folder: folder, address, attacker, other })
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
