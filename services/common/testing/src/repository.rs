//! Contract suites of repositories, and their fixtures.

use std::{
    path::Path,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use gantry_contract::{
    idempotency::RequestKey,
    page::{Page, PageRequest},
};
use gantry_sql::{Database, Migrations, Settings};
use gantry_sql_testing::Server;
pub use gantry_sql_testing::statements::assert_prepared;
use tempfile::TempDir;
use time::OffsetDateTime;
use uuid::Uuid;

/// Time of the tests, in microseconds as it is stored.
pub const NOW: OffsetDateTime = time::macros::datetime!(2026-01-02 03:04:05.678901 UTC);

/// Declares a test for each named function of the module `$suite`, on a repository that `$open` opens.
/// `$open` returns a guard that must outlive the repository, and the repository.
#[macro_export]
macro_rules! repository_contract {
    ($suite:path, $open:path: $($test:ident)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                use $suite as suite;
                let (_alive, repository) = $open().await;
                suite::$test(&repository).await;
            }
        )*
    };
}

/// Returns Ann's request of this method and id, with this body.
pub fn request(method: &'static str, id: u128, body: u8) -> RequestKey {
    RequestKey {
        subject: "ann".to_owned(),
        method,
        request_id: Uuid::from_u128(id),
        fingerprint: [body; 32],
    }
}

/// Name of the list whose pages [`first_page`] and [`next_page`] request.
pub const LIST: &str = "test";

/// Returns a request of the first page, with the total.
pub fn first_page(size: i32) -> PageRequest {
    PageRequest::new(LIST, size, "", true).unwrap()
}

/// Returns a request of the page after `page`, with the total.
pub fn next_page<T>(page: &Page<T>, size: i32) -> PageRequest {
    PageRequest::new(LIST, size, &page.next_page_token, true).unwrap()
}

/// Returns a number greater than all before it.
pub fn fresh() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(1 << 32);
    u128::from(NEXT.fetch_add(1, Relaxed))
}

/// Opens an empty database in a folder that is deleted when the first value is dropped.
pub async fn database(migrations: &Migrations) -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = open(folder.path(), migrations).await;
    (folder, database)
}

/// Opens the database of this folder.
pub async fn open(folder: &Path, migrations: &Migrations) -> Database {
    open_file(&folder.join("test.db"), migrations).await
}

/// Opens the database in this file.
pub async fn open_file(file: &Path, migrations: &Migrations) -> Database {
    Database::open(&Settings::sqlite_file(file), migrations).await.unwrap()
}

/// Opens an empty database on the PostgreSQL server of this process.
pub async fn postgres(migrations: &Migrations) -> Database {
    let [database] = replicas(migrations).await;
    database
}

/// Opens an empty PostgreSQL database `N` times, as replicas of a service do: each has connections of
/// its own.
pub async fn replicas<const N: usize>(migrations: &Migrations) -> [Database; N] {
    let settings = Server::shared().database().await;
    let mut databases = Vec::new();
    for _ in 0..N {
        databases.push(Database::open(&settings, migrations).await.unwrap());
    }
    databases.try_into().unwrap()
}

/// Executes a statement without the repository. Returns the number of changed rows.
///
/// # Errors
/// The error of the database.
pub async fn execute(database: &Database, statement: &'static str) -> Result<u64, sqlx::Error> {
    database.write(statement, |conn, statement| Box::pin(conn.query(statement).execute())).await
}

/// Asserts that the migrations of both engines can be undone, leave nothing behind, and can be applied
/// again.
pub async fn assert_reversible(migrations: &Migrations) {
    let (folder, database) = database(migrations).await;
    database.close().await;
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    for migrator in migrations.on_sqlite() {
        migrator.undo(&pool, 0).await.unwrap();
    }
    let tables = "SELECT name FROM sqlite_schema WHERE name NOT LIKE '\\_sqlx%' ESCAPE '\\'
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let left: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    for migrator in migrations.on_sqlite() {
        migrator.run(&pool).await.unwrap();
    }

    let settings = Server::shared().database().await;
    Database::open(&settings, migrations).await.unwrap().close().await;
    let pool = sqlx::PgPool::connect(&settings.postgres.url).await.unwrap();
    for migrator in migrations.on_postgres() {
        migrator.undo(&pool, 0).await.unwrap();
    }
    let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'
         AND tablename NOT LIKE '\\_sqlx%'";
    let left: Vec<String> = sqlx::query_scalar(tables).fetch_all(&pool).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    for migrator in migrations.on_postgres() {
        migrator.run(&pool).await.unwrap();
    }
}
