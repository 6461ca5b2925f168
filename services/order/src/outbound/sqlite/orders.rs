//! The repository.

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{Sqlite, StorageError, StoredTime, requests};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    records::{EventRow, address_record, event_record, orders},
    sagas,
};
use crate::{
    application::{CommitError, DraftQuota, OrderRepository, Seen, StoredOrder, UnitOfWork},
    domain::{Change, OrderId, UserId},
};

/// The orders in a SQLite database that has [`MIGRATIONS`](super::MIGRATIONS).
#[derive(Clone, Debug)]
pub struct SqliteRepository {
    database: Sqlite,
}

impl SqliteRepository {
    /// The orders in this database.
    pub fn new(database: Sqlite) -> Self {
        Self { database }
    }
}

/// The histories of the orders that a subquery named `page` selects, newest order first.
macro_rules! histories {
    ($page:literal) => {
        concat!(
            "WITH page AS (",
            $page,
            ") SELECT e.order_id, e.version, e.create_time, e.type, e.data, a.address
               FROM page
               JOIN order_events e ON e.order_id = page.id
               LEFT JOIN order_addresses a ON a.order_id = page.id
              ORDER BY page.id DESC, e.version"
        )
    };
}

const ONE: &str = histories!("SELECT ? AS id");
const ALL: &str = histories!("SELECT id FROM orders WHERE id < ? ORDER BY id DESC LIMIT ?");
const OWN: &str =
    histories!("SELECT id FROM orders WHERE user_id = ? AND id < ? ORDER BY id DESC LIMIT ?");
const COUNT_ALL: &str = "SELECT count(*) FROM (SELECT 1 FROM orders LIMIT ?)";
const COUNT_OWN: &str = "SELECT count(*) FROM (SELECT 1 FROM orders WHERE user_id = ? LIMIT ?)";

/// Counts no further than it has to, in an index of drafts alone.
const COUNT_OPEN_DRAFTS: &str = "SELECT count(*) FROM (SELECT 1 FROM orders
    WHERE user_id = ? AND status = 'DRAFT' AND update_time >= ? LIMIT ?)";

#[async_trait]
impl OrderRepository for SqliteRepository {
    async fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, StorageError> {
        let rows: Vec<EventRow> =
            sqlx::query_as(ONE).bind(id.0).fetch_all(self.database.reader()).await?;
        Ok(orders(&rows)?.pop())
    }

    async fn seen(&self, request: &RequestKey) -> Result<Seen, StorageError> {
        let mut reader = self.database.reader().acquire().await?;
        seen(&mut reader, request).await
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<(), CommitError> {
        self.database.write(|conn| Box::pin(write(conn, unit))).await
    }

    async fn create(&self, unit: UnitOfWork, quota: DraftQuota) -> Result<(), CommitError> {
        self.database.write(move |conn| Box::pin(create(conn, unit, quota))).await
    }

    async fn has_all_drafts(&self, user: UserId, quota: DraftQuota) -> Result<bool, StorageError> {
        let mut reader = self.database.reader().acquire().await?;
        has_all_drafts(&mut reader, user, quota).await
    }

    async fn list(
        &self,
        owner: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<StoredOrder>, StorageError> {
        // Every id comes before the greatest one.
        let before = match &page.after {
            Some(key) => Uuid::parse_str(key).map_err(StorageError::corrupt)?,
            None => Uuid::max(),
        };
        let reader = self.database.reader();
        let query = match owner {
            Some(owner) => sqlx::query_as(OWN).bind(owner.0),
            None => sqlx::query_as(ALL),
        };
        let rows: Vec<EventRow> = query.bind(before).bind(page.limit()).fetch_all(reader).await?;
        let total = if page.include_total {
            let query = match owner {
                Some(owner) => sqlx::query_scalar(COUNT_OWN).bind(owner.0),
                None => sqlx::query_scalar(COUNT_ALL),
            };
            Some(query.bind(MAX_TOTAL).fetch_one(reader).await?)
        } else {
            None
        };
        Ok(Page::cut(orders(&rows)?, page, |last| last.order.id().to_string(), total))
    }
}

async fn seen(conn: &mut SqliteConnection, request: &RequestKey) -> Result<Seen, StorageError> {
    Ok(match requests::find(conn, request).await? {
        requests::Found::New => Seen::New,
        requests::Found::Same { resource_id } => {
            Seen::Same(OrderId(Uuid::parse_str(&resource_id).map_err(StorageError::corrupt)?))
        }
        requests::Found::Reused => Seen::Reused,
    })
}

async fn has_all_drafts(
    conn: &mut SqliteConnection,
    user: UserId,
    quota: DraftQuota,
) -> Result<bool, StorageError> {
    let open: i64 = sqlx::query_scalar(COUNT_OPEN_DRAFTS)
        .bind(user.0)
        .bind(StoredTime(quota.changed_since))
        .bind(quota.max)
        .fetch_one(conn)
        .await?;
    Ok(open >= quota.max.into())
}

async fn create(
    conn: &mut SqliteConnection,
    unit: UnitOfWork,
    quota: DraftQuota,
) -> Result<(), CommitError> {
    let user = unit.change.order.user();
    let full = has_all_drafts(conn, user, quota).await?;
    // A repetition is a repetition however many drafts there are by now: it is told first,
    // and what was written is undone.
    write(conn, unit).await?;
    if full { Err(CommitError::TooManyDrafts) } else { Ok(()) }
}

async fn write(conn: &mut SqliteConnection, unit: UnitOfWork) -> Result<(), CommitError> {
    let UnitOfWork { change, address, request, saga } = unit;
    let (id, now) = (change.order.id(), change.recorded.at);
    // First of all: a repetition is a repetition even where the order has changed since.
    if let Some(request) = request {
        match seen(conn, &request).await? {
            Seen::New => requests::insert(conn, &request, &id.to_string(), now).await?,
            Seen::Same(id) => return Err(CommitError::Repeated(id)),
            Seen::Reused => return Err(CommitError::Reused),
        }
    }
    append(conn, &change).await?;
    if let Some(address) = address {
        sqlx::query("INSERT OR REPLACE INTO order_addresses (order_id, address) VALUES (?, ?)")
            .bind(id.0)
            .bind(address_record(address)?)
            .execute(&mut *conn)
            .await?;
    }
    if let Some(saga) = saga {
        sagas::begin(conn, &saga, now).await?;
    }
    Ok(())
}

/// Appends the event to the history it was decided on, and to no other.
async fn append(conn: &mut SqliteConnection, change: &Change) -> Result<(), CommitError> {
    let Change { order, recorded } = change;
    let version = i64::try_from(recorded.version).map_err(StorageError::corrupt)?;
    let row = if version == 1 {
        sqlx::query(
            "INSERT INTO orders (status, version, update_time, id, user_id, create_time)
             VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(order.status().as_str())
        .bind(version)
        .bind(StoredTime(recorded.at))
        .bind(order.id().0)
        .bind(order.user().0)
        .bind(StoredTime(recorded.at))
    } else {
        sqlx::query(
            "UPDATE orders SET status = ?, version = ?, update_time = ?
             WHERE id = ? AND version = ?",
        )
        .bind(order.status().as_str())
        .bind(version)
        .bind(StoredTime(recorded.at))
        .bind(order.id().0)
        .bind(version - 1)
    };
    if row.execute(&mut *conn).await?.rows_affected() == 0 {
        return Err(CommitError::Stale);
    }
    let (kind, data) = event_record(&recorded.event)?;
    sqlx::query(
        "INSERT INTO order_events (order_id, version, create_time, type, data) VALUES (?, ?, ?, ?, ?)",
    )
    .bind(order.id().0)
    .bind(version)
    .bind(StoredTime(recorded.at))
    .bind(kind)
    .bind(data)
    .execute(conn)
    .await?;
    Ok(())
}
