//! Outbox and inbox, checked on both engines.

mod inbox;
mod order;
mod outbox;
mod plans;

use bytes::Bytes;
use gantry_events::{Aggregate, Context, Event, NewEvent, Outbox};
use gantry_sql::{
    Database,
    events::{self, OutboxStore},
};
use gantry_sql_testing::Server;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{MIGRATIONS, open};

/// A database as two replicas have it. On SQLite both are of one process.
pub(crate) struct Replicas {
    pub(crate) one: Database,
    pub(crate) other: Database,
}

/// An empty database on each engine.
pub(crate) async fn both() -> (TempDir, [Replicas; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = open(&folder).await.unwrap();
    let settings = Server::shared().database().await;
    let postgres = async || Database::open(&settings, &MIGRATIONS).await.unwrap();
    let sqlite = Replicas { one: sqlite.clone(), other: sqlite };
    (folder, [sqlite, Replicas { one: postgres().await, other: postgres().await }])
}

/// Returns an order by its number.
pub(crate) fn order(id: u128) -> Aggregate {
    Aggregate::new("order", Uuid::from_u128(id)).unwrap()
}

/// Returns an event of this order.
fn placed(id: u128) -> NewEvent {
    NewEvent {
        aggregate: order(id),
        kind: "order.placed",
        schema: "shop.events.v1.OrderPlaced",
        data: Bytes::from_static(b"\x00data\xff"),
        context: Context::default(),
    }
}

/// Writes the events in a unit of their own.
async fn append(db: &Database, events: Vec<NewEvent>) -> Result<(), sqlx::Error> {
    db.write(events, |conn, events| Box::pin(events::append(conn, events))).await
}

async fn outbox(db: &Database) -> OutboxStore {
    OutboxStore::open(db.clone(), "order").await.unwrap()
}

/// Returns all unpublished events.
async fn unpublished(outbox: &OutboxStore) -> Vec<Event> {
    outbox.unpublished(usize::MAX, &[]).await.unwrap()
}

/// Returns the order's number and the sequence of each event.
fn places(events: &[Event]) -> Vec<(u128, i64)> {
    events.iter().map(|event| (event.aggregate.id().as_u128(), event.sequence)).collect()
}

/// Executes a statement. Returns the number of changed rows.
pub(crate) async fn execute(db: &Database, statement: &'static str) -> u64 {
    let executed: Result<u64, sqlx::Error> =
        db.write((), move |conn, ()| Box::pin(conn.query(statement).execute())).await;
    executed.unwrap()
}
