//! Walk through a running suite: a user, two products, an order that is confirmed and one that is
//! rejected.
//!
//! It calls through `gantry-client`, as any team does, and checks each response.

pub mod clients;
mod load;
mod shopping;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use gantry_proto::{
    google::r#type::Money,
    shop::{
        order::v1::{Order, OrderStatus, RejectReason},
        user::v1::{CreateUserRequest, LoginRequest},
    },
};
use tonic::Status;
use uuid::Uuid;

use self::{
    clients::{Clients, ConnectError, as_bearer},
    load::Load,
};
use crate::{
    cli::{DemoArgs, WalkArgs},
    up::ADMIN_EMAIL,
};

/// Error of `gantry demo`.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The file with the admin's password cannot be read.
    #[error(
        "cannot read the admin's password from {}: {source}; start `gantry up` first, or name the file \
         with --admin-password-file", path.display()
    )]
    Password {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// A client cannot be created.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A call failed that should succeed.
    #[error("{step}: {} ({:?})", status.message(), status.code())]
    Refused {
        /// Step of the walk.
        step: &'static str,
        /// Status of the call.
        status: Box<Status>,
    },
    /// A response has an unexpected value.
    #[error("{step}: expected {expected}, got {got}")]
    Unexpected {
        /// Step of the walk.
        step: &'static str,
        /// Expected value.
        expected: String,
        /// Value in the response.
        got: String,
    },
    /// Calls of the load failed.
    #[error("{failed} calls failed, the first with: {first}")]
    Failed {
        /// Number of calls whose client gave up.
        failed: usize,
        /// Error of the first one.
        first: Box<DemoError>,
    },
    /// Orders that were confirmed are missing or changed, or the stock does not match the orders.
    #[error("orders are lost: {0}")]
    Lost(String),
    /// Standard output is closed.
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
}

const TEA: Goods = Goods { name: "Darjeeling, 100 g", cents: 850, stock: 10 };
const POT: Goods = Goods { name: "Teapot, 1 l", cents: 3200, stock: 2 };

struct Goods {
    name: &'static str,
    cents: i64,
    stock: i32,
}

/// Runs the walk, then the load if there is one.
///
/// # Errors
/// [`DemoError`] of the first step that fails.
pub async fn run(args: &WalkArgs) -> Result<(), DemoError> {
    let password = admin_password(&args.suite)?;
    let clients = Clients::new(args.suite.port_offset, args.suite.tls())?;
    let walk = Walk { clients: clients.clone(), steps: 0, started: Instant::now() };
    let shop = walk.walk(&password).await?;
    match Load::of(args) {
        Some(load) => load.run(&clients, shop).await,
        None => Ok(()),
    }
}

/// Returns clients of the suite and a token of its admin.
///
/// # Errors
/// [`DemoError`].
pub(crate) async fn admin(args: &DemoArgs) -> Result<(Clients, String), DemoError> {
    let password = admin_password(args)?;
    let mut clients = Clients::new(args.port_offset, args.tls())?;
    let request = LoginRequest { email: ADMIN_EMAIL.to_owned(), password };
    let pair = clients.auth.login(request).await.map_err(refused("log in as admin"))?;
    Ok((clients, pair.into_inner().access_token))
}

fn admin_password(args: &DemoArgs) -> Result<String, DemoError> {
    let path = args.admin_password_file();
    gantry_files::read_secret(&path)
        .and_then(|text| gantry_files::value(&text).map(str::to_owned))
        .map_err(|source| DemoError::Password { path, source })
}

struct Walk {
    clients: Clients,
    steps: u32,
    started: Instant,
}

/// Accounts of the walk, for the load.
struct Shop {
    admin: String,
    customer: Customer,
    /// Suffix of the names of this run.
    run: String,
}

/// Customer with a token.
#[derive(Clone)]
struct Customer {
    id: String,
    token: String,
}

impl Walk {
    async fn walk(mut self, admin_password: &str) -> Result<Shop, DemoError> {
        let run = Uuid::now_v7().simple().to_string();
        let run = &run[run.len() - 8..];

        let admin = self.log_in("log in as admin", ADMIN_EMAIL, admin_password).await?;
        self.done(format_args!("logged in as {ADMIN_EMAIL}"))?;

        let customer = self.new_customer(&admin, run).await?;
        let (tea, pot) = (format!("TEA-{run}"), format!("POT-{run}"));
        self.stock(&admin, &tea, &TEA).await?;
        self.stock(&admin, &pot, &POT).await?;

        let order = self.draft(&customer, &[(&tea, 3), (&pot, 1)]).await?;
        let order = self.place(&customer, order, "place the order").await?;
        expect("place the order", OrderStatus::Confirmed, order.status())?;
        self.done(format_args!("placed it: {}", order.status().as_str_name()))?;
        self.expect_stock(&customer, &tea, TEA.stock - 3).await?;
        self.expect_stock(&customer, &pot, POT.stock - 1).await?;

        let greedy = self.draft(&customer, &[(&pot, 1), (&tea, 50)]).await?;
        let greedy = self.place(&customer, greedy, "place an order too large").await?;
        let step = "place an order too large";
        expect(step, OrderStatus::Rejected, greedy.status())?;
        expect(step, RejectReason::InsufficientStock, greedy.reject_reason())?;
        self.done(format_args!(
            "placed an order for more tea than in stock: {}, {}",
            greedy.status().as_str_name(),
            greedy.reject_reason().as_str_name(),
        ))?;
        self.expect_stock(&customer, &tea, TEA.stock - 3).await?;
        self.expect_stock(&customer, &pot, POT.stock - 1).await?;

        let mut out = io::stdout().lock();
        writeln!(out, "done: {} steps in {} ms", self.steps, self.started.elapsed().as_millis())?;
        Ok(Shop { admin, customer, run: run.to_owned() })
    }

    async fn log_in(
        &mut self,
        step: &'static str,
        email: &str,
        password: &str,
    ) -> Result<String, DemoError> {
        let request = LoginRequest { email: email.to_owned(), password: password.to_owned() };
        let pair = self.clients.auth.login(request).await.map_err(refused(step))?;
        Ok(pair.into_inner().access_token)
    }

    async fn new_customer(&mut self, admin: &str, run: &str) -> Result<Customer, DemoError> {
        let step = "create a user";
        let (email, password) = (format!("ada-{run}@example.com"), Uuid::now_v7().to_string());
        let request = CreateUserRequest {
            email: email.clone(),
            name: "Ada Lovelace".to_owned(),
            password: password.clone(),
            request_id: new_id(),
        };
        let user = self.clients.users.create_user(as_bearer(request, admin)).await;
        let user = user.map_err(refused(step))?.into_inner();
        self.done(format_args!("created the user {} <{email}>", user.name))?;

        let token = self.log_in("log in as the user", &email, &password).await?;
        self.done(format_args!("logged in as {email}"))?;
        Ok(Customer { id: user.id, token })
    }

    async fn stock(&mut self, admin: &str, sku: &str, goods: &Goods) -> Result<(), DemoError> {
        let product = self.clients.stock(admin, sku, goods).await?;
        self.done(format_args!(
            "stocked {} of {sku} ({}) at {}",
            product.stock,
            product.name,
            amount(product.price.as_ref()),
        ))
    }

    async fn draft(
        &mut self,
        customer: &Customer,
        items: &[(&str, i32)],
    ) -> Result<Order, DemoError> {
        let order = self.clients.draft(customer, items).await?;
        self.done(format_args!(
            "drafted an order: {} less {} is {}",
            amount(order.subtotal.as_ref()),
            amount(order.discount.as_ref()),
            amount(order.total.as_ref()),
        ))?;
        Ok(order)
    }

    async fn place(
        &mut self,
        customer: &Customer,
        order: Order,
        step: &'static str,
    ) -> Result<Order, DemoError> {
        self.clients.place(customer, Clients::placing(order), step).await
    }

    async fn expect_stock(
        &mut self,
        customer: &Customer,
        sku: &str,
        stock: i32,
    ) -> Result<(), DemoError> {
        let product = self.clients.product(customer, sku).await?;
        expect("look at the stock", stock, product.stock)?;
        expect("look at what is reserved", 0, product.reserved)?;
        self.done(format_args!("stock of {sku} is {stock}"))
    }

    fn done(&mut self, what: std::fmt::Arguments<'_>) -> Result<(), DemoError> {
        self.steps += 1;
        Ok(writeln!(io::stdout().lock(), "{:>3}  {what}", self.steps)?)
    }
}

fn expect<T: PartialEq + std::fmt::Debug>(
    step: &'static str,
    expected: T,
    got: T,
) -> Result<(), DemoError> {
    if expected == got {
        return Ok(());
    }
    Err(DemoError::Unexpected { step, expected: format!("{expected:?}"), got: format!("{got:?}") })
}

pub(crate) fn refused(step: &'static str) -> impl FnOnce(Status) -> DemoError {
    move |status| DemoError::Refused { step, status: Box::new(status) }
}

fn new_id() -> String {
    Uuid::now_v7().to_string()
}

fn amount(money: Option<&Money>) -> String {
    money.map_or_else(String::new, |money| {
        format!("{}.{:02} {}", money.units, money.nanos / 10_000_000, money.currency_code)
    })
}
