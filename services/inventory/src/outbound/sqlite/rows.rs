//! Rows and what they stand for. A row that stands for nothing is a storage failure.

use gantry_money::{Currency, Money};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    application::InventoryError,
    domain::{Items, Product, ProductName, Quantity, Reservation, Sku, Status, Stock},
};

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ProductRow {
    sku: String,
    name: String,
    currency: String,
    price: i64,
    available: u32,
    reserved: u32,
    sold: u32,
    create_time: i64,
    update_time: i64,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct StockRow {
    sku: String,
    available: u32,
    reserved: u32,
    sold: u32,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ReservationRow {
    id: Uuid,
    status: String,
    create_time: i64,
    update_time: i64,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ItemRow {
    sku: String,
    quantity: u32,
}

impl TryFrom<ProductRow> for Product {
    type Error = InventoryError;

    fn try_from(row: ProductRow) -> Result<Self, InventoryError> {
        let currency = Currency::parse(&row.currency).map_err(corrupt)?;
        Ok(Self {
            sku: Sku::parse(row.sku).map_err(corrupt)?,
            name: ProductName::stored(row.name),
            price: Money::new(row.price, currency).map_err(corrupt)?,
            stock: Stock::stored(row.available, row.reserved, row.sold).map_err(corrupt)?,
            created: time(row.create_time)?,
            updated: time(row.update_time)?,
        })
    }
}

impl StockRow {
    pub(super) fn stock(self) -> Result<(Sku, Stock), InventoryError> {
        let stock = Stock::stored(self.available, self.reserved, self.sold).map_err(corrupt)?;
        Ok((Sku::parse(self.sku).map_err(corrupt)?, stock))
    }
}

impl ReservationRow {
    pub(super) fn reservation(self, items: Vec<ItemRow>) -> Result<Reservation, InventoryError> {
        let items = items
            .into_iter()
            .map(|row| {
                let quantity = Quantity::new(row.quantity).map_err(corrupt)?;
                Ok((Sku::parse(row.sku).map_err(corrupt)?, quantity))
            })
            .collect::<Result<Vec<_>, InventoryError>>()?;
        let items =
            if items.is_empty() { None } else { Some(Items::collect(items).map_err(corrupt)?) };
        let status = match self.status.as_str() {
            "RESERVED" => Status::Reserved,
            "COMMITTED" => Status::Committed,
            "RELEASED" => Status::Released,
            other => return Err(corrupt(format!("reservation status {other:?}"))),
        };
        let (created, updated) = (time(self.create_time)?, time(self.update_time)?);
        Reservation::stored(self.id, status, items, created, updated).map_err(corrupt)
    }
}

/// The name a status has in the table.
pub(super) fn status_name(status: Status) -> &'static str {
    match status {
        Status::Reserved => "RESERVED",
        Status::Committed => "COMMITTED",
        Status::Released => "RELEASED",
    }
}

/// SKUs as a JSON list, which `json_each` makes rows of.
pub(super) fn json<'a>(skus: impl IntoIterator<Item = &'a Sku>) -> Result<String, InventoryError> {
    let skus: Vec<_> = skus.into_iter().map(Sku::as_str).collect();
    serde_json::to_string(&skus).map_err(corrupt)
}

/// The number a time has in the tables: microseconds since 1970.
pub(super) fn micros(time: OffsetDateTime) -> i64 {
    // The years that OffsetDateTime has are far within what an i64 of microseconds holds.
    (time.unix_timestamp_nanos() / 1_000) as i64
}

fn time(micros: i64) -> Result<OffsetDateTime, InventoryError> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).map_err(corrupt)
}

fn corrupt(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> InventoryError {
    InventoryError::Storage(cause.into())
}
