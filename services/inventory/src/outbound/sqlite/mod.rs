//! The inventory in SQLite.
//!
//! Each method of [`InventoryRepository`] is one transaction. What the rules need is read within
//! the transaction that writes, and SQLite has one writer at a time, so what a decision
//! was made on is still true when it is stored. The tables' checks stand behind the
//! rules: a count below nothing fails the transaction whoever tries it.

mod rows;

use std::collections::BTreeMap;

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{Sqlite, StorageError, StoredTime, requests};
use sqlx::{SqliteConnection, migrate::Migrator};
use time::OffsetDateTime;
use uuid::Uuid;

use self::rows::{ItemRow, ProductRow, ReservationRow, StockRow};
use crate::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Decision, Product, Reservation, Sku, Stocks, decide},
};

/// The schema, from its first version on.
pub static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The inventory in a SQLite database that has [`MIGRATIONS`].
#[derive(Clone, Debug)]
pub struct SqliteRepository {
    database: Sqlite,
}

impl SqliteRepository {
    /// The inventory in this database.
    pub fn new(database: Sqlite) -> Self {
        Self { database }
    }
}

#[async_trait]
impl InventoryRepository for SqliteRepository {
    async fn create_product(
        &self,
        product: Product,
        request: RequestKey,
    ) -> Result<Product, InventoryError> {
        self.database
            .write(|conn| {
                Box::pin(async move {
                    match requests::find(conn, &request).await? {
                        requests::Found::New => {}
                        requests::Found::Same { resource_id } => {
                            return load_product(conn, &resource_id).await;
                        }
                        requests::Found::Reused => return Err(InventoryError::RequestIdReused),
                    }
                    insert_product(conn, &product).await?;
                    let id = product.sku.as_str();
                    requests::insert(conn, &request, id, product.create_time).await?;
                    Ok(product)
                })
            })
            .await
    }

    async fn products(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Product>, StorageError> {
        let rows: Vec<ProductRow> =
            sqlx::query_as("SELECT * FROM products WHERE sku IN (SELECT value FROM json_each(?))")
                .bind(rows::json(skus)?)
                .fetch_all(self.database.reader())
                .await?;
        rows.into_iter()
            .map(|row| Product::try_from(row).map(|product| (product.sku.clone(), product)))
            .collect()
    }

    async fn list_products(&self, page: &PageRequest) -> Result<Page<Product>, StorageError> {
        // No SKU is empty, so every SKU comes after the empty text.
        let rows: Vec<ProductRow> =
            sqlx::query_as("SELECT * FROM products WHERE sku > ? ORDER BY sku LIMIT ?")
                .bind(page.after.as_deref().unwrap_or_default())
                .bind(page.limit())
                .fetch_all(self.database.reader())
                .await?;
        let total = if page.include_total {
            let total: u32 =
                sqlx::query_scalar("SELECT count(*) FROM (SELECT 1 FROM products LIMIT ?)")
                    .bind(MAX_TOTAL)
                    .fetch_one(self.database.reader())
                    .await?;
            Some(total)
        } else {
            None
        };
        let products = rows.into_iter().map(Product::try_from).collect::<Result<_, _>>()?;
        Ok(Page::cut(products, page, |product| product.sku.as_str().to_owned(), total))
    }

    async fn change_reservation(
        &self,
        id: Uuid,
        command: Command,
        request: RequestKey,
        now: OffsetDateTime,
    ) -> Result<Reservation, InventoryError> {
        self.database
            .write(move |conn| {
                Box::pin(async move {
                    let seen = requests::find(conn, &request).await?;
                    if seen == requests::Found::Reused {
                        return Err(InventoryError::RequestIdReused);
                    }
                    // Asked even where the request is known: the answer is the
                    // reservation as it is now, and asking twice changes nothing.
                    let found = load_reservation(conn, id).await?;
                    let is_new = found.is_none();
                    let stocks = load_stocks(conn, &command, found.as_ref()).await?;
                    let reservation = match decide(id, command, found, &stocks, now)? {
                        Decision::AsItIs(reservation) => reservation,
                        Decision::Change { reservation, stocks } => {
                            store_reservation(conn, &reservation, is_new).await?;
                            store_stocks(conn, &stocks, now).await?;
                            reservation
                        }
                    };
                    if seen == requests::Found::New {
                        requests::insert(conn, &request, &id.to_string(), now).await?;
                    }
                    Ok(reservation)
                })
            })
            .await
    }
}

async fn load_product(conn: &mut SqliteConnection, sku: &str) -> Result<Product, InventoryError> {
    let row: ProductRow =
        sqlx::query_as("SELECT * FROM products WHERE sku = ?").bind(sku).fetch_one(conn).await?;
    Ok(row.try_into()?)
}

async fn insert_product(
    conn: &mut SqliteConnection,
    product: &Product,
) -> Result<(), InventoryError> {
    let inserted = sqlx::query(
        "INSERT INTO products
             (sku, name, currency, price, available, reserved, sold, create_time, update_time)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (sku) DO NOTHING",
    )
    .bind(product.sku.as_str())
    .bind(product.name.as_str())
    .bind(product.price.currency().code())
    .bind(product.price.minor())
    .bind(product.stock.available())
    .bind(product.stock.reserved())
    .bind(product.stock.sold())
    .bind(StoredTime(product.create_time))
    .bind(StoredTime(product.update_time))
    .execute(conn)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(InventoryError::SkuTaken(product.sku.clone()));
    }
    Ok(())
}

async fn load_reservation(
    conn: &mut SqliteConnection,
    id: Uuid,
) -> Result<Option<Reservation>, StorageError> {
    let row: Option<ReservationRow> = sqlx::query_as("SELECT * FROM reservations WHERE id = ?")
        .bind(id)
        .fetch_optional(&mut *conn)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let items: Vec<ItemRow> =
        sqlx::query_as("SELECT sku, quantity FROM reservation_items WHERE reservation_id = ?")
            .bind(id)
            .fetch_all(conn)
            .await?;
    row.reservation(items).map(Some)
}

/// The stocks of all products that the command or the reservation names.
async fn load_stocks(
    conn: &mut SqliteConnection,
    command: &Command,
    found: Option<&Reservation>,
) -> Result<Stocks, StorageError> {
    let items = [command.items(), found.and_then(Reservation::items)];
    let skus = items.into_iter().flatten().flat_map(|items| items.iter()).map(|(sku, _)| sku);
    let rows: Vec<StockRow> = sqlx::query_as(
        "SELECT sku, available, reserved, sold FROM products
         WHERE sku IN (SELECT value FROM json_each(?))",
    )
    .bind(rows::json(skus)?)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(StockRow::stock).collect()
}

/// What is reserved never changes, so a reservation's items are written with it, once.
async fn store_reservation(
    conn: &mut SqliteConnection,
    reservation: &Reservation,
    is_new: bool,
) -> Result<(), StorageError> {
    let id = reservation.id();
    sqlx::query(
        "INSERT INTO reservations (id, status, create_time, update_time) VALUES (?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE
         SET status = excluded.status, update_time = excluded.update_time",
    )
    .bind(id)
    .bind(rows::status_name(reservation.status()))
    .bind(StoredTime(reservation.create_time()))
    .bind(StoredTime(reservation.update_time()))
    .execute(&mut *conn)
    .await?;
    if !is_new {
        return Ok(());
    }
    for (sku, quantity) in reservation.items().into_iter().flat_map(|items| items.iter()) {
        sqlx::query(
            "INSERT INTO reservation_items (reservation_id, sku, quantity) VALUES (?, ?, ?)",
        )
        .bind(id)
        .bind(sku.as_str())
        .bind(quantity.get())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn store_stocks(
    conn: &mut SqliteConnection,
    stocks: &Stocks,
    now: OffsetDateTime,
) -> Result<(), StorageError> {
    for (sku, stock) in stocks {
        sqlx::query(
            "UPDATE products SET available = ?, reserved = ?, sold = ?, update_time = ?
             WHERE sku = ?",
        )
        .bind(stock.available())
        .bind(stock.reserved())
        .bind(stock.sold())
        .bind(StoredTime(now))
        .bind(sku.as_str())
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

impl From<sqlx::Error> for InventoryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
