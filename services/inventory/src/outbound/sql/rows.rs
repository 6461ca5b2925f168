//! Rows and what they stand for. A row that stands for nothing is corrupt.

use gantry_money::{Currency, Money};
use gantry_sql::{StorageError, StoredTime};
use uuid::Uuid;

use crate::domain::{Items, Product, ProductName, Quantity, Reservation, Sku, Status, Stock};

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ProductRow {
    sku: String,
    name: String,
    currency: String,
    price: i64,
    available: i64,
    reserved: i64,
    sold: i64,
    create_time: StoredTime,
    update_time: StoredTime,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct StockRow {
    sku: String,
    available: i64,
    reserved: i64,
    sold: i64,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ReservationRow {
    id: Uuid,
    status: String,
    create_time: StoredTime,
    update_time: StoredTime,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ItemRow {
    sku: String,
    quantity: i64,
}

impl TryFrom<ProductRow> for Product {
    type Error = StorageError;

    fn try_from(row: ProductRow) -> Result<Self, StorageError> {
        let currency = Currency::parse(&row.currency).map_err(StorageError::corrupt)?;
        Ok(Self {
            sku: Sku::parse(row.sku).map_err(StorageError::corrupt)?,
            name: ProductName::stored(row.name),
            price: Money::new(row.price, currency).map_err(StorageError::corrupt)?,
            stock: stock(row.available, row.reserved, row.sold)?,
            create_time: row.create_time.0,
            update_time: row.update_time.0,
        })
    }
}

impl StockRow {
    pub(super) fn stock(self) -> Result<(Sku, Stock), StorageError> {
        let stock = stock(self.available, self.reserved, self.sold)?;
        Ok((Sku::parse(self.sku).map_err(StorageError::corrupt)?, stock))
    }
}

fn stock(available: i64, reserved: i64, sold: i64) -> Result<Stock, StorageError> {
    Stock::stored(count(available)?, count(reserved)?, count(sold)?).map_err(StorageError::corrupt)
}

fn count(stored: i64) -> Result<u32, StorageError> {
    u32::try_from(stored).map_err(StorageError::corrupt)
}

impl ReservationRow {
    pub(super) fn reservation(self, items: Vec<ItemRow>) -> Result<Reservation, StorageError> {
        let items = items
            .into_iter()
            .map(|row| {
                let quantity =
                    Quantity::new(count(row.quantity)?).map_err(StorageError::corrupt)?;
                Ok((Sku::parse(row.sku).map_err(StorageError::corrupt)?, quantity))
            })
            .collect::<Result<Vec<_>, StorageError>>()?;
        let items = if items.is_empty() {
            None
        } else {
            Some(Items::collect(items).map_err(StorageError::corrupt)?)
        };
        let status = match self.status.as_str() {
            "RESERVED" => Status::Reserved,
            "COMMITTED" => Status::Committed,
            "RELEASED" => Status::Released,
            other => return Err(StorageError::corrupt(format!("reservation status {other:?}"))),
        };
        Reservation::stored(self.id, status, items, self.create_time.0, self.update_time.0)
            .map_err(StorageError::corrupt)
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
