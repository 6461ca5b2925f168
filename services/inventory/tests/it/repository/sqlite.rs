//! The suite on SQLite, and tests of SQLite alone.

use gantry_common_testing::repository::{
    assert_prepared, assert_reversible, database, execute, open,
};
use gantry_inventory::{
    application::InventoryRepository,
    domain::Command,
    outbound::sql::{MIGRATIONS, SqlRepository},
};
use gantry_sql::StorageError;
use tempfile::TempDir;
use uuid::Uuid;

use super::{fresh, product, races};
use crate::support::{NOW, items, sku};

pub(super) async fn inventory() -> (TempDir, SqlRepository) {
    let (folder, database) = database(&MIGRATIONS).await;
    (folder, SqlRepository::new(database))
}

contract!(inventory);

#[tokio::test]
async fn the_inventory_survives_a_restart() {
    let (folder, first) = database(&MIGRATIONS).await;
    let repository = SqlRepository::new(first.clone());
    repository.create_product(product("a", 3), fresh()).await.unwrap();
    let id = Uuid::from_u128(1);
    let command = Command::Reserve(items(&[("a", 2)]));
    let made = repository.change_reservation(id, command.clone(), fresh(), NOW).await.unwrap();
    first.close().await;

    let repository = SqlRepository::new(open(folder.path(), &MIGRATIONS).await);
    assert_eq!(races::counted(&repository, "a").await, (1, 2, 0));
    assert_eq!(repository.change_reservation(id, command, fresh(), NOW).await.unwrap(), made);
}

#[tokio::test]
async fn the_tables_refuse_negative_counts() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqlRepository::new(database.clone());
    repository.create_product(product("a", 1), fresh()).await.unwrap();
    for below in [
        "UPDATE products SET available = available - 2",
        "UPDATE products SET reserved = -1",
        "UPDATE products SET sold = -1",
        "UPDATE products SET price = -1",
    ] {
        let error = execute(&database, below).await.unwrap_err().to_string();
        assert!(error.contains("CHECK constraint failed"), "{below}: {error}");
    }
    assert_eq!(races::counted(&repository, "a").await, (1, 0, 0));
}

#[tokio::test]
async fn an_unreadable_row_is_a_storage_error() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqlRepository::new(database.clone());
    repository.create_product(product("a", 1), fresh()).await.unwrap();
    execute(&database, "UPDATE products SET currency = '???'").await.unwrap();
    let read = repository.products(&[sku("a")]).await;
    assert!(matches!(read, Err(StorageError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    assert_reversible(&MIGRATIONS).await;
}

#[tokio::test]
async fn both_engines_prepare_every_statement() {
    assert_prepared(concat!(env!("CARGO_MANIFEST_DIR"), "/src"), &MIGRATIONS).await;
}

async fn twice() -> (TempDir, [SqlRepository; 2]) {
    let (folder, repository) = inventory().await;
    (folder, [repository.clone(), repository])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reservations_never_oversell() {
    let (_folder, repositories) = twice().await;
    races::concurrent_reservations_never_oversell(repositories).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commit_and_release_have_one_winner() {
    let (_folder, repositories) = twice().await;
    races::concurrent_commit_and_release_have_one_winner(repositories).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repetitions_make_one_reservation() {
    let (_folder, repositories) = twice().await;
    races::concurrent_repetitions_make_one_reservation(repositories).await;
}
