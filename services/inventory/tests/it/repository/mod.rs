//! What every adapter of the repository must do, run on each of them.

mod sequences;
mod sqlite;
mod suite;

use gantry_common_testing::repository::{self, NOW, request};
use gantry_contract::idempotency::RequestKey;
use gantry_inventory::domain::{Items, Product, ProductName, Quantity, Reservation, Sku, Stock};
use gantry_money::Money;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

const LATER: OffsetDateTime = NOW.saturating_add(Duration::minutes(1));

const CREATE: &str = "/shop.inventory.v1.InventoryService/CreateProduct";
const RESERVE: &str = "/shop.inventory.v1.InventoryService/ReserveStock";

fn sku(text: &str) -> Sku {
    Sku::parse(text).unwrap()
}

fn items(list: &[(&str, u32)]) -> Items {
    Items::collect(list.iter().map(|(text, q)| (sku(text), Quantity::new(*q).unwrap()))).unwrap()
}

fn product(text: &str, stock: u32) -> Product {
    let price = Money::from_units_nanos("EUR", 12, 340_000_000).unwrap();
    let name = ProductName::parse(format!("The {text}")).unwrap();
    Product::new(sku(text), name, price, Stock::new(stock).unwrap(), NOW)
}

/// A request like no other.
fn fresh() -> RequestKey {
    request(RESERVE, repository::fresh(), 0)
}

/// Available, reserved and sold.
type Counts = (u32, u32, u32);

fn counts(stock: Stock) -> Counts {
    (stock.available(), stock.reserved(), stock.sold())
}

/// What of a reservation does not depend on the time.
fn told(reservation: &Reservation) -> (Uuid, String, Vec<(String, u32)>) {
    let items = reservation.items().into_iter().flat_map(Items::iter);
    (
        reservation.id(),
        format!("{:?}", reservation.status()),
        items.map(|(sku, quantity)| (sku.to_string(), quantity.get())).collect(),
    )
}
