//! The suite on PostgreSQL, and tests with two pools, as two replicas have them.

use gantry_common_testing::repository::{execute, postgres, replicas};
use gantry_inventory::{
    application::InventoryRepository,
    outbound::sql::{MIGRATIONS, SqlRepository},
};

use super::{fresh, product, races};

pub(super) async fn inventory() -> ((), SqlRepository) {
    ((), SqlRepository::new(postgres(&MIGRATIONS).await))
}

contract!(inventory);

async fn two() -> [SqlRepository; 2] {
    replicas::<2>(&MIGRATIONS).await.map(SqlRepository::new)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_reservations_never_oversell() {
    races::concurrent_reservations_never_oversell(two().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commit_and_release_have_one_winner() {
    races::concurrent_commit_and_release_have_one_winner(two().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_repetitions_make_one_reservation() {
    races::concurrent_repetitions_make_one_reservation(two().await).await;
}

#[tokio::test]
async fn the_tables_refuse_a_count_below_nothing() {
    let database = postgres(&MIGRATIONS).await;
    let repository = SqlRepository::new(database.clone());
    repository.create_product(product("a", 1), fresh()).await.unwrap();
    for below in [
        "UPDATE products SET available = available - 2",
        "UPDATE products SET reserved = -1",
        "UPDATE products SET sold = -1",
        "UPDATE products SET price = -1",
    ] {
        let error = execute(&database, below).await.unwrap_err().to_string();
        assert!(error.contains("violates check constraint"), "{below}: {error}");
    }
}
