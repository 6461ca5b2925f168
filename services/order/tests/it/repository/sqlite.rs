//! The suite on SQLite, and tests of SQLite alone.

use gantry_common_testing::repository::{assert_prepared, assert_reversible, execute};
use gantry_order::{
    application::OrderRepository,
    outbound::sql::{MIGRATIONS, SqlRepository},
};
use tempfile::TempDir;

use crate::support::{ANN, database, draft, open, unit};

async fn orders() -> (TempDir, SqlRepository) {
    let (folder, database) = database().await;
    (folder, SqlRepository::new(database))
}

contract!(orders);

#[tokio::test]
async fn orders_survive_a_restart() {
    let (folder, database) = database().await;
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    SqlRepository::new(database.clone()).commit(unit(draft)).await.unwrap();
    database.close().await;
    let database = open(&folder).await;
    let stored = SqlRepository::new(database).find(order.id()).await.unwrap().unwrap();
    assert_eq!(stored.order, order);
}

#[tokio::test]
async fn an_unreadable_order_is_an_error() {
    let (_folder, database) = database().await;
    let orders = SqlRepository::new(database.clone());
    let draft = draft(ANN, &[("mug", 1)]);
    let id = draft.order.id();
    orders.commit(unit(draft)).await.unwrap();
    for spoil in [
        "UPDATE order_events SET data = '{}'",
        "UPDATE order_events SET type = 'order.unknown.v1'",
        "UPDATE order_events SET version = 2",
    ] {
        execute(&database, spoil).await.unwrap();
        assert!(orders.find(id).await.is_err(), "{spoil}");
    }
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    assert_reversible(&MIGRATIONS).await;
}

#[tokio::test]
async fn both_engines_prepare_every_statement() {
    assert_prepared(concat!(env!("CARGO_MANIFEST_DIR"), "/src"), &MIGRATIONS).await;
}
