//! The inventory in a database.
//!
//! Each method of [`InventoryRepository`] is one transaction. A change of a reservation first locks
//! its id and the stocks that it decides on, so the decision is still true when it is stored. The
//! tables' checks stand behind the rules: a count below nothing fails the transaction.

mod rows;

use std::collections::BTreeMap;

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{Connection, Database, Migrations, StorageError, StoredTime, TextList, requests};
use time::OffsetDateTime;
use uuid::Uuid;

use self::rows::{ItemRow, ProductRow, ReservationRow, StockRow};
use crate::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Decision, Product, Reservation, Sku, Stocks, decide},
};

/// The schema, from its first version on.
pub static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("migrations/sqlite"),
    postgres: sqlx::migrate!("migrations/postgres"),
    shared: &[&requests::TABLES],
};

/// The inventory in a database that has [`MIGRATIONS`].
#[derive(Clone, Debug)]
pub struct SqlRepository {
    database: Database,
}

impl SqlRepository {
    /// Returns the inventory in this database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

/// Begin of the statements that read a whole [`ProductRow`].
macro_rules! products {
    ($rest:literal) => {
        concat!(
            "SELECT sku, name, currency, price, available, reserved, sold, create_time, update_time
               FROM products ",
            $rest
        )
    };
}

#[async_trait]
impl InventoryRepository for SqlRepository {
    async fn create_product(
        &self,
        product: Product,
        request: RequestKey,
    ) -> Result<Product, InventoryError> {
        self.database
            .write((product, request), |conn, (product, request)| {
                Box::pin(create_product(conn, product, request))
            })
            .await
    }

    async fn products(&self, skus: &[Sku]) -> Result<BTreeMap<Sku, Product>, StorageError> {
        let mut conn = self.database.replica().await?;
        let rows: Vec<ProductRow> =
            conn.query(products!("WHERE sku = ANY($1)")).bind(list(skus)).fetch_all().await?;
        rows.into_iter()
            .map(|row| Product::try_from(row).map(|product| (product.sku.clone(), product)))
            .collect()
    }

    async fn list_products(&self, page: &PageRequest) -> Result<Page<Product>, StorageError> {
        let mut conn = self.database.replica().await?;
        // No SKU is empty, so every SKU comes after the empty text.
        let rows: Vec<ProductRow> = conn
            .query(products!("WHERE sku > $1 ORDER BY sku LIMIT $2"))
            .bind(page.after.as_deref().unwrap_or_default())
            .bind(i64::from(page.limit()))
            .fetch_all()
            .await?;
        let total = if page.include_total {
            let total: i64 = conn
                .query("SELECT count(*) FROM (SELECT 1 FROM products LIMIT $1) AS counted")
                .bind(i64::from(MAX_TOTAL))
                .fetch_value()
                .await?;
            Some(u32::try_from(total).map_err(StorageError::corrupt)?)
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
            .write_locked((id, command, request, now), |conn, (id, command, request, now)| {
                Box::pin(change_reservation(conn, *id, command, request, *now))
            })
            .await
    }
}

async fn create_product(
    conn: &mut Connection,
    product: &Product,
    request: &RequestKey,
) -> Result<Product, InventoryError> {
    match requests::find(conn, request).await? {
        requests::Found::New => {}
        requests::Found::Same { resource_id } => {
            let query = conn.query(products!("WHERE sku = $1")).bind(resource_id);
            return Ok(query.fetch_one::<ProductRow>().await?.try_into()?);
        }
        requests::Found::Reused => return Err(InventoryError::RequestIdReused),
    }
    insert_product(conn, product).await?;
    requests::insert(conn, request, product.sku.as_str(), product.create_time).await?;
    Ok(product.clone())
}

async fn insert_product(conn: &mut Connection, product: &Product) -> Result<(), InventoryError> {
    let inserted = conn
        .query(
            "INSERT INTO products
                 (sku, name, currency, price, available, reserved, sold, create_time, update_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
             ON CONFLICT (sku) DO NOTHING",
        )
        .bind(product.sku.as_str())
        .bind(product.name.as_str())
        .bind(product.price.currency().code())
        .bind(product.price.minor())
        .bind(i64::from(product.stock.available()))
        .bind(i64::from(product.stock.reserved()))
        .bind(i64::from(product.stock.sold()))
        .bind(StoredTime(product.create_time))
        .bind(StoredTime(product.update_time))
        .execute()
        .await?;
    if inserted == 0 {
        return Err(InventoryError::SkuTaken(product.sku.clone()));
    }
    Ok(())
}

async fn change_reservation(
    conn: &mut Connection,
    id: Uuid,
    command: &Command,
    request: &RequestKey,
    now: OffsetDateTime,
) -> Result<Reservation, InventoryError> {
    // By its id, because the reservation may not exist yet.
    conn.lock(&format!("reservation {id}")).await?;
    let seen = requests::find(conn, request).await?;
    if seen == requests::Found::Reused {
        return Err(InventoryError::RequestIdReused);
    }
    // Even for a known request the answer is the reservation as it is now: a repetition changes
    // nothing.
    let found = load_reservation(conn, id).await?;
    let is_new = found.is_none();
    let stocks = lock_stocks(conn, command, found.as_ref()).await?;
    let reservation = match decide(id, command.clone(), found, &stocks, now)? {
        Decision::AsItIs(reservation) => reservation,
        Decision::Change { reservation, stocks } => {
            store_reservation(conn, &reservation, is_new).await?;
            store_stocks(conn, &stocks, now).await?;
            reservation
        }
    };
    if seen == requests::Found::New {
        requests::insert(conn, request, &id.to_string(), now).await?;
    }
    Ok(reservation)
}

async fn load_reservation(
    conn: &mut Connection,
    id: Uuid,
) -> Result<Option<Reservation>, StorageError> {
    let row: Option<ReservationRow> = conn
        .query("SELECT id, status, create_time, update_time FROM reservations WHERE id = $1")
        .bind(id)
        .fetch_optional()
        .await?;
    let Some(row) = row else { return Ok(None) };
    let items: Vec<ItemRow> = conn
        .query("SELECT sku, quantity FROM reservation_items WHERE reservation_id = $1")
        .bind(id)
        .fetch_all()
        .await?;
    row.reservation(items).map(Some)
}

/// Locks and returns the stocks of all products that the command or the reservation names.
async fn lock_stocks(
    conn: &mut Connection,
    command: &Command,
    found: Option<&Reservation>,
) -> Result<Stocks, StorageError> {
    let items = [command.items(), found.and_then(Reservation::items)];
    let skus = items.into_iter().flatten().flat_map(|items| items.iter()).map(|(sku, _)| sku);
    let rows: Vec<StockRow> = conn
        .query(
            "SELECT sku, available, reserved, sold FROM products
             WHERE sku = ANY($1) ORDER BY sku FOR UPDATE",
        )
        .bind(list(skus))
        .fetch_all()
        .await?;
    rows.into_iter().map(StockRow::stock).collect()
}

/// Writes a reservation, and its items if it is new: they never change.
async fn store_reservation(
    conn: &mut Connection,
    reservation: &Reservation,
    is_new: bool,
) -> Result<(), StorageError> {
    let id = reservation.id();
    conn.query(
        "INSERT INTO reservations (id, status, create_time, update_time) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE
         SET status = excluded.status, update_time = excluded.update_time",
    )
    .bind(id)
    .bind(rows::status_name(reservation.status()))
    .bind(StoredTime(reservation.create_time()))
    .bind(StoredTime(reservation.update_time()))
    .execute()
    .await?;
    if !is_new {
        return Ok(());
    }
    for (sku, quantity) in reservation.items().into_iter().flat_map(|items| items.iter()) {
        conn.query(
            "INSERT INTO reservation_items (reservation_id, sku, quantity) VALUES ($1, $2, $3)",
        )
        .bind(id)
        .bind(sku.as_str())
        .bind(i64::from(quantity.get()))
        .execute()
        .await?;
    }
    Ok(())
}

async fn store_stocks(
    conn: &mut Connection,
    stocks: &Stocks,
    now: OffsetDateTime,
) -> Result<(), StorageError> {
    for (sku, stock) in stocks {
        conn.query(
            "UPDATE products SET available = $1, reserved = $2, sold = $3, update_time = $4
             WHERE sku = $5",
        )
        .bind(i64::from(stock.available()))
        .bind(i64::from(stock.reserved()))
        .bind(i64::from(stock.sold()))
        .bind(StoredTime(now))
        .bind(sku.as_str())
        .execute()
        .await?;
    }
    Ok(())
}

/// Makes one parameter of the SKUs.
fn list<'a>(skus: impl IntoIterator<Item = &'a Sku>) -> TextList {
    TextList::new(skus.into_iter().map(Sku::as_str))
}

impl From<sqlx::Error> for InventoryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(error.into())
    }
}
