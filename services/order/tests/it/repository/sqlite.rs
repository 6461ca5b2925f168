//! The repository in SQLite.

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
    an_order_reads_back_as_it_was_made
    an_order_that_is_not_there_is_not_found
    every_event_reads_back
    a_change_of_an_older_version_is_refused
    a_change_of_an_order_that_is_not_there_is_refused
    an_id_is_given_once
    a_unit_that_is_refused_leaves_nothing
    a_saga_is_begun_once
    an_address_stays_until_it_is_replaced
    a_repeated_request_is_recognised
    a_repeated_request_is_recognised_before_the_version
    of_many_changes_at_once_exactly_one_is_taken
    lists_go_from_the_newest_to_the_oldest
    a_list_can_be_one_users_own
    a_list_shows_orders_as_they_are
    a_draft_beyond_the_quota_is_refused
    drafts_made_at_once_keep_to_the_quota
}

#[tokio::test]
async fn orders_outlive_the_process() {
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
async fn what_cannot_be_read_is_an_error_and_not_another_order() {
    let (_folder, database) = database().await;
    let orders = SqliteRepository::new(database.clone());
    let draft = draft(ANN, &[("mug", 1)]);
    let id = draft.order.id();
    orders.commit(unit(draft)).await.unwrap();
    for spoil in [
        "UPDATE order_events SET data = '{}'",
        "UPDATE order_events SET type = 'order.unheard-of.v1'",
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
