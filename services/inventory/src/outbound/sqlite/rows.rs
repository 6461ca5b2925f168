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
    available: u32,
    reserved: u32,
    sold: u32,
    create_time: StoredTime,
    update_time: StoredTime,
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
    create_time: StoredTime,
    update_time: StoredTime,
}

#[derive(Debug, sqlx::FromRow)]
pub(super) struct ItemRow {
    sku: String,
    quantity: u32,
}

impl TryFrom<ProductRow> for Product {
    type Error = StorageError;

    fn try_from(row: ProductRow) -> Result<Self, StorageError> {
        let currency = Currency::parse(&row.currency).map_err(StorageError::corrupt)?;
        Ok(Self {
            sku: Sku::parse(row.sku).map_err(StorageError::corrupt)?,
            name: ProductName::stored(row.name),
            price: Money::new(row.price, currency).map_err(StorageError::corrupt)?,
            stock: Stock::stored(row.available, row.reserved, row.sold)
                .map_err(StorageError::corrupt)?,
            create_time: row.create_time.0,
            update_time: row.update_time.0,
        })
    }
}

impl StockRow {
    pub(super) fn stock(self) -> Result<(Sku, Stock), StorageError> {
        let stock = Stock::stored(self.available, self.reserved, self.sold)
            .map_err(StorageError::corrupt)?;
        Ok((Sku::parse(self.sku).map_err(StorageError::corrupt)?, stock))
    }
}

impl ReservationRow {
    pub(super) fn reservation(self, items: Vec<ItemRow>) -> Result<Reservation, StorageError> {
        let items = items
            .into_iter()
            .map(|row| {
                let quantity = Quantity::new(row.quantity).map_err(StorageError::corrupt)?;
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

/// SKUs as a JSON list, which `json_each` makes rows of.
pub(super) fn json<'a>(skus: impl IntoIterator<Item = &'a Sku>) -> Result<String, StorageError> {
    let skus: Vec<_> = skus.into_iter().map(Sku::as_str).collect();
    serde_json::to_string(&skus).map_err(StorageError::corrupt)
}
