//! The suite on SQLite, and tests of SQLite alone.

use gantry_common_testing::{
    repository::{assert_reversible, execute},
    repository_contract,
};
use gantry_order::{
    application::OrderRepository,
    outbound::sqlite::{MIGRATIONS, SqliteRepository},
};
use tempfile::TempDir;

use crate::support::{ANN, database, draft, open, unit};

async fn orders() -> (TempDir, SqliteRepository) {
    let (folder, database) = database().await;
    (folder, SqliteRepository::new(database))
}

repository_contract! { super::suite, orders:
    an_order_reads_back_as_created
    an_unknown_order_is_not_found
    every_event_reads_back
    a_change_of_an_older_version_is_refused
    a_change_of_an_unknown_order_is_refused
    an_order_id_is_unique
    a_refused_unit_writes_nothing
    a_saga_id_is_unique
    an_address_stays_until_it_is_replaced
    a_repeated_request_is_recognised
    a_repeated_request_is_recognised_before_the_version
    concurrent_changes_have_one_winner
    a_list_is_sorted_newest_first
    a_list_can_be_limited_to_one_user
    a_list_shows_current_orders
    a_draft_beyond_the_quota_is_refused
    concurrent_drafts_keep_to_the_quota
}

#[tokio::test]
async fn orders_survive_a_restart() {
    let (folder, database) = database().await;
    let draft = draft(ANN, &[("mug", 1)]);
    let order = draft.order.clone();
    SqliteRepository::new(database.clone()).commit(unit(draft)).await.unwrap();
    database.close().await;
    let database = open(&folder).await;
    let stored = SqliteRepository::new(database).find(order.id()).await.unwrap().unwrap();
    assert_eq!(stored.order, order);
}

#[tokio::test]
async fn an_unreadable_order_is_an_error() {
    let (_folder, database) = database().await;
    let orders = SqliteRepository::new(database.clone());
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
