//! Load of a running suite: callers that place orders for a while, and a check that none is lost.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use gantry_proto::shop::order::v1::{OrderStatus, PlaceOrderRequest};
use tokio::{task::JoinSet, time::sleep};

use super::{Customer, DemoError, Goods, Shop, clients::Clients, expect};
use crate::cli::WalkArgs;

const CUPS: Goods = Goods { name: "Cup, 0.2 l", cents: 600, stock: 1_000_000 };

/// Pause of a caller after each order. With it a few callers stay below the contract's limit of orders
/// per user.
const PAUSE: Duration = Duration::from_millis(500);

/// Time after the load in which every order must end, and every response arrive.
const SETTLING: Duration = Duration::from_secs(60);

/// Load to run.
pub(super) struct Load {
    duration: Duration,
    callers: u32,
    allow_failures: bool,
}

impl Load {
    /// Returns the load that the arguments ask for, if any.
    pub(super) fn of(args: &WalkArgs) -> Option<Self> {
        let duration = Duration::from_secs(args.seconds?);
        Some(Self { duration, callers: args.callers, allow_failures: args.allow_failures })
    }

    /// Places orders from all callers, then compares every confirmed order, and the stock, with the suite.
    ///
    /// # Errors
    /// [`DemoError::Lost`], and [`DemoError::Failed`] unless failures are allowed.
    pub(super) async fn run(self, clients: &Clients, shop: Shop) -> Result<(), DemoError> {
        let sku = format!("CUP-{}", shop.run);
        clients.clone().stock(&shop.admin, &sku, &CUPS).await?;
        let started = Instant::now();
        let mut callers = JoinSet::new();
        for _ in 0..self.callers {
            let (clients, customer) = (clients.clone(), shop.customer.clone());
            let caller = Caller { clients, customer, sku: sku.clone(), books: Books::default() };
            callers.spawn(caller.order_until(started + self.duration));
        }
        let books = callers.join_all().await.into_iter().fold(Books::default(), Books::and);
        let (clients, customer) = (clients.clone(), shop.customer);
        let mut checker = Caller { clients, customer, sku, books };
        checker.settle().await?;
        checker.check().await?;
        let Books { confirmed, failed, .. } = checker.books;
        writeln!(
            io::stdout().lock(),
            "load: {} orders in {} s, {} failed calls; every confirmed order and its stock are there",
            confirmed.len(),
            self.duration.as_secs(),
            failed.len(),
        )?;
        let count = failed.len();
        match failed.into_iter().next() {
            Some(first) if !self.allow_failures => {
                Err(DemoError::Failed { failed: count, first: Box::new(first) })
            }
            _ => Ok(()),
        }
    }
}

/// Promises of the responses.
#[derive(Default)]
struct Books {
    /// Ids of the orders that the service has confirmed.
    confirmed: Vec<String>,
    /// Orders whose outcome is unknown.
    open: Vec<PlaceOrderRequest>,
    /// Calls whose client gave up.
    failed: Vec<DemoError>,
}

impl Books {
    fn and(mut self, mut other: Self) -> Self {
        self.confirmed.append(&mut other.confirmed);
        self.open.append(&mut other.open);
        self.failed.append(&mut other.failed);
        self
    }
}

struct Caller {
    clients: Clients,
    customer: Customer,
    sku: String,
    books: Books,
}

impl Caller {
    /// Places orders of one cup each, with a pause after each.
    async fn order_until(mut self, end: Instant) -> Books {
        while Instant::now() < end {
            if let Err(error) = self.order().await {
                self.books.failed.push(error);
            }
            sleep(PAUSE).await;
        }
        self.books
    }

    async fn order(&mut self) -> Result<(), DemoError> {
        let draft = self.clients.draft(&self.customer, &[(&self.sku, 1)]).await?;
        let request = Clients::placing(draft);
        // Open until the response says otherwise: a failed call may have placed it.
        self.books.open.push(request.clone());
        let placed = self.clients.place(&self.customer, request, "place the order").await?;
        if placed.status() == OrderStatus::Confirmed {
            self.books.open.pop();
            self.books.confirmed.push(placed.id);
        }
        self.clients.product(&self.customer, &self.sku).await.map(drop)
    }

    /// Repeats the calls with an unknown outcome, which places each of these orders exactly once.
    async fn settle(&mut self) -> Result<(), DemoError> {
        let end = Instant::now() + SETTLING;
        for request in std::mem::take(&mut self.books.open) {
            let (clients, customer) = (&mut self.clients, &self.customer);
            let status = answered(end, async || {
                clients.place(customer, request.clone(), "place the order again").await?;
                let order = clients.order(customer, &request.id).await?;
                expect_final(order.status())
            });
            if status.await? == OrderStatus::Confirmed {
                self.books.confirmed.push(request.id);
            }
        }
        Ok(())
    }

    /// Compares the suite with the books.
    async fn check(&mut self) -> Result<(), DemoError> {
        let end = Instant::now() + SETTLING;
        let (clients, customer) = (&mut self.clients, &self.customer);
        for id in &self.books.confirmed {
            let order = answered(end, async || clients.order(customer, id).await).await?;
            if order.status() != OrderStatus::Confirmed {
                let status = order.status().as_str_name();
                return Err(DemoError::Lost(format!("{id} was confirmed and is {status}")));
            }
        }
        let sku = &self.sku;
        // An order may be rejected before its saga has returned the stock.
        let product = answered(end, async || {
            let product = clients.product(customer, sku).await?;
            expect("wait until nothing is reserved", 0, product.reserved)?;
            Ok(product)
        })
        .await?;
        let sold = i64::from(CUPS.stock) - i64::from(product.stock);
        if sold != i64::try_from(self.books.confirmed.len()).unwrap_or(i64::MAX) {
            let confirmed = self.books.confirmed.len();
            return Err(DemoError::Lost(format!("{confirmed} sold one cup each, {sold} are gone")));
        }
        Ok(())
    }
}

/// Repeats a call until it succeeds or `end` is over.
async fn answered<T>(
    end: Instant,
    mut call: impl AsyncFnMut() -> Result<T, DemoError>,
) -> Result<T, DemoError> {
    loop {
        match call().await {
            Err(_) if Instant::now() < end => sleep(PAUSE).await,
            result => return result,
        }
    }
}

/// Rejects the status of an order whose steps still run.
fn expect_final(status: OrderStatus) -> Result<OrderStatus, DemoError> {
    match status {
        OrderStatus::Confirmed | OrderStatus::Rejected => Ok(status),
        open => Err(DemoError::Unexpected {
            step: "wait for the order",
            expected: "CONFIRMED or REJECTED".to_owned(),
            got: open.as_str_name().to_owned(),
        }),
    }
}
