//! Fixtures that several modules share.

use gantry_common_testing::repository;
pub(crate) use gantry_common_testing::repository::{NOW, fresh};
use gantry_contract::{Clock, idempotency::RequestKey};
use gantry_money::{Currency, Money};
use gantry_order::{
    application::UnitOfWork,
    domain::{Address, Change, Line, Lines, Order, OrderId, Pricing, Quantity, Sku, Tier, UserId},
    outbound::sql::MIGRATIONS,
};
use gantry_sql::Database;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const ANN: UserId = UserId(Uuid::from_u128(0xa));
pub(crate) const BOB: UserId = UserId(Uuid::from_u128(0xb));

/// Clock that stands still.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TestClock;

impl Clock for TestClock {
    fn now(&self) -> OffsetDateTime {
        NOW
    }
}

/// Opens an empty database in a folder that is deleted when the first value is dropped.
pub(crate) async fn database() -> (TempDir, Database) {
    repository::database(&MIGRATIONS).await
}

/// Opens the database of this folder.
pub(crate) async fn open(folder: &TempDir) -> Database {
    repository::open(folder.path(), &MIGRATIONS).await
}

pub(crate) fn euros(minor: i64) -> Money {
    Money::new(minor, Currency::parse("EUR").unwrap()).unwrap()
}

pub(crate) fn lines(items: &[(&str, u32)]) -> Lines {
    let line = |(sku, quantity): &(&str, u32)| {
        Line::new(Sku::new(*sku), Quantity::new(*quantity).unwrap(), euros(1_050)).unwrap()
    };
    Lines::new(items.iter().map(line).collect()).unwrap()
}

/// Creates a draft whose id is greater than all before it.
pub(crate) fn draft(user: UserId, items: &[(&str, u32)]) -> Change {
    let id = OrderId(Uuid::from_u128(fresh()));
    Order::create(id, user, Tier::Premium, lines(items), &Pricing::default(), NOW).unwrap()
}

pub(crate) fn address(locality: &str) -> Address {
    Address {
        region_code: "DE".to_owned(),
        postal_code: "10115".to_owned(),
        locality: locality.to_owned(),
        address_lines: vec!["Unter den Linden 1".to_owned()],
        recipients: vec!["Ann 🦀".to_owned()],
        ..Address::default()
    }
}

/// Request with this id and this body.
pub(crate) fn request(id: u128, body: u8) -> RequestKey {
    repository::request("/shop.order.v1.OrderService/CreateOrder", id, body)
}

/// Unit of work with this change alone.
pub(crate) fn unit(change: Change) -> UnitOfWork {
    UnitOfWork { change, address: None, request: None, saga: None }
}
