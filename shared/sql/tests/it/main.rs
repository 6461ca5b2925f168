//! Everything here runs on real files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod open;
mod requests;
mod storage;
mod time;
mod write;

use gantry_sql::{OpenError, Settings, Sqlite};
use sqlx::migrate::Migrator;

static MIGRATOR: Migrator = sqlx::migrate!("tests/it/migrations");

/// A database in a folder of its own.
struct Fixture {
    folder: tempfile::TempDir,
    db: Sqlite,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&folder).await.unwrap();
        Self { folder, db }
    }

    async fn names(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT name FROM things ORDER BY name")
            .fetch_all(self.db.reader())
            .await
            .unwrap()
    }
}

async fn open(folder: &tempfile::TempDir) -> Result<Sqlite, OpenError> {
    Sqlite::open(&Settings::new(folder.path().join("data/test.db")), &MIGRATOR).await
}
