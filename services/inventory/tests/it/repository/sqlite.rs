//! The suite on SQLite, and tests of SQLite alone.

use std::sync::Arc;

use gantry_common_testing::{
    repository::{assert_reversible, database, execute, open},
    repository_contract,
};
use gantry_inventory::{
    application::{InventoryError, InventoryRepository},
    domain::{Command, Status},
    outbound::sqlite::{MIGRATIONS, SqliteRepository},
};
use gantry_sql::StorageError;
use tempfile::TempDir;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{fresh, product};
use crate::support::{Counts, NOW, counts, items, sku};

pub(super) async fn inventory() -> (TempDir, SqliteRepository) {
    let (folder, database) = database(&MIGRATIONS).await;
    (folder, SqliteRepository::new(database))
}

repository_contract! { super::suite, inventory:
    a_product_reads_back_as_created
    a_taken_sku_is_refused_and_changes_nothing
    a_repeated_creation_returns_the_current_product
    a_request_id_stands_for_one_request
    a_reservation_holds_all_of_its_items
    too_little_of_one_product_reserves_nothing
    every_unknown_product_is_named
    a_refusal_leaves_no_record_of_the_request
    a_committed_reservation_stays_committed
    a_released_reservation_stays_released
    an_early_release_refuses_the_late_reservation
    a_reservation_id_outlives_the_request_record
    a_reused_request_id_changes_nothing
    pages_neither_repeat_nor_skip
    the_last_page_has_no_token
}

async fn counted(repository: &SqliteRepository, text: &str) -> Counts {
    counts(repository.products(&[sku(text)]).await.unwrap()[&sku(text)].stock)
}

#[tokio::test]
async fn the_inventory_survives_a_restart() {
    let (folder, first) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(first.clone());
    repository.create_product(product("a", 3), fresh()).await.unwrap();
    let id = Uuid::from_u128(1);
    let command = Command::Reserve(items(&[("a", 2)]));
    let made = repository.change_reservation(id, command.clone(), fresh(), NOW).await.unwrap();
    first.close().await;

    let repository = SqliteRepository::new(open(folder.path(), &MIGRATIONS).await);
    assert_eq!(counted(&repository, "a").await, (1, 2, 0));
    assert_eq!(repository.change_reservation(id, command, fresh(), NOW).await.unwrap(), made);
}

#[tokio::test]
async fn the_tables_refuse_negative_counts() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(database.clone());
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
    assert_eq!(counted(&repository, "a").await, (1, 0, 0));
}

#[tokio::test]
async fn an_unreadable_row_is_a_storage_error() {
    let (_folder, database) = database(&MIGRATIONS).await;
    let repository = SqliteRepository::new(database.clone());
    repository.create_product(product("a", 1), fresh()).await.unwrap();
    execute(&database, "UPDATE products SET currency = '???'").await.unwrap();
    let read = repository.products(&[sku("a")]).await;
    assert!(matches!(read, Err(StorageError::Corrupt(_))), "{read:?}");
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    assert_reversible(&MIGRATIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reservations_never_oversell() {
    const STOCK: u32 = 20;
    let (_folder, repository) = inventory().await;
    let repository = Arc::new(repository);
    for text in ["a", "b"] {
        repository.create_product(product(text, STOCK), fresh()).await.unwrap();
    }
    // Each call reserves one of both products. Half of the calls name one first, half the other.
    let mut tasks = JoinSet::new();
    for id in 0..64 {
        let repository = repository.clone();
        tasks.spawn(async move {
            let wanted = if id % 2 == 0 { [("a", 1), ("b", 1)] } else { [("b", 1), ("a", 1)] };
            let command = Command::Reserve(items(&wanted));
            repository.change_reservation(Uuid::from_u128(id), command, fresh(), NOW).await
        });
    }
    let answers = tasks.join_all().await;
    let won = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(won, STOCK as usize);
    assert!(answers.iter().all(|answer| matches!(answer, Ok(_) | Err(InventoryError::Refused(_)))));
    for text in ["a", "b"] {
        assert_eq!(counted(&repository, text).await, (0, STOCK, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commit_and_release_have_one_winner() {
    let (_folder, repository) = inventory().await;
    let repository = Arc::new(repository);
    repository.create_product(product("a", 100), fresh()).await.unwrap();
    let (mut sold, mut back) = (0, 0);
    for id in (0..25).map(Uuid::from_u128) {
        let reserve = Command::Reserve(items(&[("a", 4)]));
        repository.change_reservation(id, reserve, fresh(), NOW).await.unwrap();
        let race = |command| {
            let repository = repository.clone();
            tokio::spawn(
                async move { repository.change_reservation(id, command, fresh(), NOW).await },
            )
        };
        let (commit, release) = (race(Command::Commit), race(Command::Release));
        match (commit.await.unwrap(), release.await.unwrap()) {
            (Ok(won), Err(InventoryError::Refused(_))) => {
                assert_eq!(won.status(), Status::Committed);
                sold += 4;
            }
            (Err(InventoryError::Refused(_)), Ok(won)) => {
                assert_eq!(won.status(), Status::Released);
                back += 4;
            }
            other => panic!("not one winner: {other:?}"),
        }
    }
    assert_eq!(sold + back, 100);
    assert_eq!(counted(&repository, "a").await, (back, 0, sold));
}
