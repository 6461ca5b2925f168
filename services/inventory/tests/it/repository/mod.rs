//! Contract of the repository, checked on every adapter.

mod sequences;
mod sqlite;
mod suite;

use gantry_common_testing::repository::{self, request};
use gantry_contract::idempotency::RequestKey;
use gantry_inventory::domain::{Items, Product, ProductName, Reservation, Stock};
use gantry_money::Money;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::support::{NOW, sku};

const LATER: OffsetDateTime = NOW.saturating_add(Duration::minutes(1));

const CREATE: &str = "/shop.inventory.v1.InventoryService/CreateProduct";
const RESERVE: &str = "/shop.inventory.v1.InventoryService/ReserveStock";

fn product(text: &str, stock: u32) -> Product {
    let price = Money::from_units_nanos("EUR", 12, 340_000_000).unwrap();
    let name = ProductName::parse(format!("The {text}")).unwrap();
    Product::new(sku(text), name, price, Stock::new(stock).unwrap(), NOW)
}

/// Request that no other test makes.
fn fresh() -> RequestKey {
    request(RESERVE, repository::fresh(), 0)
}

/// Id, status and items of a reservation: the parts that do not depend on the time.
fn untimed(reservation: &Reservation) -> (Uuid, String, Vec<(String, u32)>) {
    let items = reservation.items().into_iter().flat_map(Items::iter);
    (
        reservation.id(),
        format!("{:?}", reservation.status()),
        items.map(|(sku, quantity)| (sku.to_string(), quantity.get())).collect(),
    )
}
