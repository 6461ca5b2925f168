//! Conversion between the contract's messages and the application's types.
//!
//! The server has checked the contract's own rules. The rules of the domain are checked here, and
//! reported the same way: as violations of fields.

use std::fmt;

use gantry_common::{amount, money, timestamp};
use gantry_contract::{Violations, idempotency::RequestKey, ids};
use gantry_proto::shop::inventory::v1::{self as contract, ReservationStatus};
use uuid::Uuid;

use crate::{
    application::{NewProduct, NewReservation},
    domain::{Items, ItemsError, Product, ProductName, Quantity, Reservation, Sku, Status, Stock},
};

/// Parses the command. The error lists every violation of the request.
pub(super) fn new_product(
    request: contract::CreateProductRequest,
    key: RequestKey,
) -> Result<NewProduct, Violations> {
    let name = ProductName::parse(request.name).map_err(|error| Violations::one("name", error));
    let stock = u32::try_from(request.stock)
        .map_err(|_| Violations::one("stock", "must be at least 0"))
        .and_then(|count| Stock::new(count).map_err(|error| Violations::one("stock", error)));
    let mut violations = Violations::default();
    let sku = violations.note(sku("sku", request.sku));
    let name = violations.note(name);
    let price = violations.note(money("price", &request.price.unwrap_or_default()));
    let stock = violations.note(stock);
    match (sku, name, price, stock) {
        (Some(sku), Some(name), Some(price), Some(stock)) => {
            Ok(NewProduct { sku, name, price, stock, request: key })
        }
        _ => Err(violations),
    }
}

pub(super) fn new_reservation(
    request: contract::ReserveStockRequest,
    key: RequestKey,
) -> Result<NewReservation, Violations> {
    let items = request
        .items
        .into_iter()
        .enumerate()
        .map(|(index, item)| {
            let quantity = u32::try_from(item.quantity).unwrap_or(0);
            let quantity = Quantity::new(quantity)
                .map_err(|error| Violations::one(format_args!("items[{index}].quantity"), error))?;
            Ok((sku(format_args!("items[{index}].sku"), item.sku)?, quantity))
        })
        .collect::<Result<Vec<_>, Violations>>()?;
    Ok(NewReservation {
        id: reservation_id(&request.reservation_id)?,
        items: Items::collect(items)
            .map_err(|error: ItemsError| Violations::one("items", error))?,
        request: key,
    })
}

pub(super) fn skus(request: contract::BatchGetProductsRequest) -> Result<Vec<Sku>, Violations> {
    let skus = request.skus.into_iter().enumerate();
    skus.map(|(index, text)| sku(format_args!("skus[{index}]"), text)).collect()
}

pub(super) fn sku(field: impl fmt::Display, text: String) -> Result<Sku, Violations> {
    Sku::parse(text).map_err(|error| Violations::one(field, error))
}

pub(super) fn reservation_id(text: &str) -> Result<Uuid, Violations> {
    ids::uuid("reservation_id", text)
}

pub(super) fn product(product: Product) -> contract::Product {
    contract::Product {
        sku: product.sku.as_str().to_owned(),
        name: product.name.as_str().to_owned(),
        price: Some(amount(product.price)),
        stock: count(product.stock.available()),
        reserved: count(product.stock.reserved()),
        create_time: Some(timestamp(product.create_time)),
        update_time: Some(timestamp(product.update_time)),
    }
}

pub(super) fn reservation(reservation: &Reservation) -> contract::Reservation {
    let items = reservation.items().into_iter().flat_map(Items::iter);
    let status = match reservation.status() {
        Status::Reserved => ReservationStatus::Reserved,
        Status::Committed => ReservationStatus::Committed,
        Status::Released => ReservationStatus::Released,
    };
    contract::Reservation {
        id: reservation.id().to_string(),
        items: items
            .map(|(sku, quantity)| contract::ReservationItem {
                sku: sku.as_str().to_owned(),
                quantity: count(quantity.get()),
            })
            .collect(),
        status: status.into(),
        create_time: Some(timestamp(reservation.create_time())),
        update_time: Some(timestamp(reservation.update_time())),
    }
}

/// Converts a number of items. It is at most [`crate::domain::MAX_STOCK`], which is less than 2³¹.
fn count(count: u32) -> i32 {
    count as i32
}
