//! What every adapter of the repository must do, run on each of them.

mod sequences;
mod sqlite;
mod suite;

use gantry_contract::idempotency::RequestKey;
use gantry_inventory::domain::{Items, Product, ProductName, Quantity, Reservation, Sku, Stock};
use gantry_money::Money;
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// A moment as fine as is stored.
const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 03:04:05.678901 UTC);
const LATER: OffsetDateTime = NOW.saturating_add(Duration::minutes(1));

const CREATE: &str = "/shop.inventory.v1.InventoryService/CreateProduct";
const RESERVE: &str = "/shop.inventory.v1.InventoryService/ReserveStock";

/// Runs every test of the suite on the repository that `$open` opens; it returns what
/// must live as long as the repository, and the repository.
macro_rules! repository_contract {
    ($open:path: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let (_alive, repository) = $open().await;
                $crate::repository::suite::$test(&repository).await;
            }
        )*
    };
}
use repository_contract;

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

/// A request with this id and this body.
fn request(method: &'static str, id: u128, body: u8) -> RequestKey {
    RequestKey {
        subject: "ann".to_owned(),
        method,
        request_id: Uuid::from_u128(id),
        fingerprint: [body; 32],
    }
}

/// A request like no other.
fn fresh() -> RequestKey {
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
    static BODY: AtomicU8 = AtomicU8::new(0);
    request(RESERVE, NEXT.fetch_add(1, Relaxed).into(), BODY.fetch_add(1, Relaxed))
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
