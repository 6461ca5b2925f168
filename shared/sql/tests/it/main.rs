//! Everything here runs on real files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod commit;
mod deadline;
mod drops;
mod events;
mod full_disk;
mod measure;
mod open;
mod outage;
mod polls;
mod postgres;
mod requests;
mod sagas;
mod schema;
mod secrets;
mod standby;
mod statements;
mod storage;
mod time;
mod tls;
mod unit;

use std::time::Duration;

use gantry_sql::{Connection, Database, Migrations, OpenError, Settings};

static MIGRATIONS: Migrations = Migrations {
    sqlite: sqlx::migrate!("tests/it/migrations/sqlite"),
    postgres: sqlx::migrate!("tests/it/migrations/postgres"),
    shared: &[
        &gantry_sql::requests::TABLES,
        &gantry_sql::sagas::TABLES,
        &gantry_sql::events::TABLES,
    ],
};

/// A database in a folder of its own.
struct Fixture {
    folder: tempfile::TempDir,
    db: Database,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&folder).await.unwrap();
        Self { folder, db }
    }

    async fn names(&self) -> Vec<String> {
        names(&self.db).await
    }
}

async fn open(folder: &tempfile::TempDir) -> Result<Database, OpenError> {
    let settings = Settings::sqlite_file(folder.path().join("data/test.db"));
    Database::open(&settings, &MIGRATIONS).await
}

/// Inserts a thing, in a unit.
async fn add(conn: &mut Connection, name: &str, code: &str) -> Result<(), sqlx::Error> {
    let insert = conn.query("INSERT INTO things (name, code) VALUES ($1, $2)");
    insert.bind(name).bind(code).execute().await.map(drop)
}

/// Inserts a thing.
async fn insert(
    db: &Database,
    name: impl Into<String>,
    code: impl Into<String>,
) -> Result<(), sqlx::Error> {
    db.write((name.into(), code.into()), |conn, (name, code)| Box::pin(add(conn, name, code))).await
}

/// Returns the names of all things, in their order.
async fn names(db: &Database) -> Vec<String> {
    let mut conn = db.reader().await.unwrap();
    let names = conn.query("SELECT name FROM things ORDER BY name").fetch_all().await.unwrap();
    names.into_iter().map(|(name,)| name).collect()
}

/// Waits a little between two looks.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
