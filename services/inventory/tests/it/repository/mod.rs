//! Contract of the repository, checked on every adapter.

/// Declares the tests of the suite, on the repository that `$open` opens.
macro_rules! contract {
    ($open:path) => {
        gantry_common_testing::repository_contract! { super::suite, $open:
            a_product_reads_back_as_created
            a_taken_sku_is_refused_and_changes_nothing
            a_repeated_creation_returns_the_current_product
            a_request_id_stands_for_one_request
            a_reservation_holds_all_of_its_items
            too_little_of_one_product_reserves_nothing
            every_unknown_product_is_named
            a_refusal_leaves_no_record_of_the_request
            a_committed_reservation_stays_committed
            a_released_reservation_stays_released
            an_early_release_refuses_the_late_reservation
            a_reservation_id_outlives_the_request_record
            a_reused_request_id_changes_nothing
            pages_neither_repeat_nor_skip
            the_last_page_has_no_token
        }
    };
}

mod postgres;
mod races;
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
