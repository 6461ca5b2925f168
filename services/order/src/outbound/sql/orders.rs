//! The repository.

use async_trait::async_trait;
use gantry_contract::{
    idempotency::RequestKey,
    page::{MAX_TOTAL, Page, PageRequest},
};
use gantry_sql::{Connection, Database, StorageError, StoredTime, requests, sagas};
use uuid::Uuid;

use super::records::{EventRow, address_record, event_record, orders};
use crate::{
    application::{CommitError, DraftQuota, OrderRepository, Seen, StoredOrder, UnitOfWork},
    domain::{Change, OrderId, UserId},
};

/// The orders in a database that has [`MIGRATIONS`](super::MIGRATIONS).
#[derive(Clone, Debug)]
pub struct SqlRepository {
    database: Database,
}

impl SqlRepository {
    /// Returns the orders in this database.
    pub fn new(database: Database) -> Self {
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

const ONE: &str = histories!("SELECT id FROM orders WHERE id = $1");
const ALL: &str = histories!("SELECT id FROM orders WHERE id < $1 ORDER BY id DESC LIMIT $2");
const OWN: &str =
    histories!("SELECT id FROM orders WHERE id < $1 AND user_id = $3 ORDER BY id DESC LIMIT $2");
const COUNT_ALL: &str = "SELECT count(*) FROM (SELECT 1 FROM orders LIMIT $1) AS counted";
const COUNT_OWN: &str =
    "SELECT count(*) FROM (SELECT 1 FROM orders WHERE user_id = $2 LIMIT $1) AS counted";

/// Counts no further than it has to, in an index of drafts alone.
const COUNT_OPEN_DRAFTS: &str = "SELECT count(*) FROM (SELECT 1 FROM orders
    WHERE user_id = $1 AND status = 'DRAFT' AND update_time >= $2 LIMIT $3) AS counted";

#[async_trait]
impl OrderRepository for SqlRepository {
    async fn find(&self, id: OrderId) -> Result<Option<StoredOrder>, StorageError> {
        let mut conn = self.database.reader().await?;
        let rows: Vec<EventRow> = conn.query(ONE).bind(id.0).fetch_all().await?;
        Ok(orders(&rows)?.pop())
    }

    async fn seen(&self, request: &RequestKey) -> Result<Seen, StorageError> {
        seen(&mut self.database.reader().await?, request).await
    }

    async fn commit(&self, unit: UnitOfWork) -> Result<(), CommitError> {
        self.database.write(unit, |conn, unit| Box::pin(write(conn, unit))).await
    }

    async fn create(&self, unit: UnitOfWork, quota: DraftQuota) -> Result<(), CommitError> {
        self.database
            .write_locked((unit, quota), |conn, (unit, quota)| Box::pin(create(conn, unit, *quota)))
            .await
    }

    async fn has_all_drafts(&self, user: UserId, quota: DraftQuota) -> Result<bool, StorageError> {
        has_all_drafts(&mut self.database.reader().await?, user, quota).await
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
        let mut conn = self.database.replica().await?;
        let limit = i64::from(page.limit());
        let query = match owner {
            Some(owner) => conn.query(OWN).bind(before).bind(limit).bind(owner.0),
            None => conn.query(ALL).bind(before).bind(limit),
        };
        let rows: Vec<EventRow> = query.fetch_all().await?;
        let total = if page.include_total {
            let most = i64::from(MAX_TOTAL);
            let query = match owner {
                Some(owner) => conn.query(COUNT_OWN).bind(most).bind(owner.0),
                None => conn.query(COUNT_ALL).bind(most),
            };
            let total: i64 = query.fetch_value().await?;
            Some(u32::try_from(total).map_err(StorageError::corrupt)?)
        } else {
            None
        };
        Ok(Page::cut(orders(&rows)?, page, |last| last.order.id().to_string(), total))
    }
}

async fn seen(conn: &mut Connection, request: &RequestKey) -> Result<Seen, StorageError> {
    Ok(match requests::find(conn, request).await? {
        requests::Found::New => Seen::New,
        requests::Found::Same { resource_id } => {
            Seen::Same(OrderId(Uuid::parse_str(&resource_id).map_err(StorageError::corrupt)?))
        }
        requests::Found::Reused => Seen::Reused,
    })
}

async fn has_all_drafts(
    conn: &mut Connection,
    user: UserId,
    quota: DraftQuota,
) -> Result<bool, StorageError> {
    let open: i64 = conn
        .query(COUNT_OPEN_DRAFTS)
        .bind(user.0)
        .bind(StoredTime(quota.changed_since))
        .bind(i64::from(quota.max))
        .fetch_value()
        .await?;
    Ok(open >= quota.max.into())
}

async fn create(
    conn: &mut Connection,
    unit: &UnitOfWork,
    quota: DraftQuota,
) -> Result<(), CommitError> {
    let user = unit.change.order.user();
    conn.lock(&format!("drafts of {user}")).await?;
    let full = has_all_drafts(conn, user, quota).await?;
    // A repetition is a repetition however many drafts there are by now: it is told first,
    // and what was written is undone.
    write(conn, unit).await?;
    if full { Err(CommitError::TooManyDrafts) } else { Ok(()) }
}

async fn write(conn: &mut Connection, unit: &UnitOfWork) -> Result<(), CommitError> {
    let UnitOfWork { change, address, request, saga } = unit;
    let (id, now) = (change.order.id(), change.recorded.at);
    // First of all: a repetition is a repetition even where the order has changed since.
    if let Some(request) = request {
        match seen(conn, request).await? {
            Seen::New => requests::insert(conn, request, &id.to_string(), now).await?,
            Seen::Same(id) => return Err(CommitError::Repeated(id)),
            Seen::Reused => return Err(CommitError::Reused),
        }
    }
    append(conn, change).await?;
    if let Some(address) = address {
        conn.query(
            "INSERT INTO order_addresses (order_id, address) VALUES ($1, $2)
             ON CONFLICT (order_id) DO UPDATE SET address = excluded.address",
        )
        .bind(id.0)
        .bind(address_record(address)?)
        .execute()
        .await?;
    }
    if let Some(saga) = saga {
        sagas::begin(conn, saga).await?;
    }
    Ok(())
}

/// Appends the event to the history it was decided on, and to no other.
async fn append(conn: &mut Connection, change: &Change) -> Result<(), CommitError> {
    let Change { order, recorded } = change;
    let version = i64::try_from(recorded.version).map_err(StorageError::corrupt)?;
    let row = if version == 1 {
        conn.query(
            "INSERT INTO orders (status, version, update_time, id, user_id, create_time)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (id) DO NOTHING",
        )
        .bind(order.status().as_str())
        .bind(version)
        .bind(StoredTime(recorded.at))
        .bind(order.id().0)
        .bind(order.user().0)
        .bind(StoredTime(recorded.at))
    } else {
        conn.query(
            "UPDATE orders SET status = $1, version = $2, update_time = $3
             WHERE id = $4 AND version = $5",
        )
        .bind(order.status().as_str())
        .bind(version)
        .bind(StoredTime(recorded.at))
        .bind(order.id().0)
        .bind(version - 1)
    };
    if row.execute().await? == 0 {
        return Err(CommitError::Stale);
    }
    let (kind, data) = event_record(&recorded.event)?;
    conn.query(
        "INSERT INTO order_events (order_id, version, create_time, type, data)
         VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(order.id().0)
    .bind(version)
    .bind(StoredTime(recorded.at))
    .bind(kind)
    .bind(data)
    .execute()
    .await?;
    Ok(())
}
