use std::{fs, path::Path};

use gantry_sql::{OpenError, Settings, Sqlite};
use sqlx::migrate::Migrator;

use crate::{Fixture, MIGRATOR, open};

async fn refusal(path: impl AsRef<Path>) -> String {
    Sqlite::open(&Settings::new(path), &MIGRATOR).await.unwrap_err().to_string()
}

async fn pragma(pool: &sqlx::SqlitePool, statement: &'static str) -> String {
    sqlx::query_scalar::<_, String>(statement).fetch_one(pool).await.unwrap()
}

#[tokio::test]
async fn the_folder_is_made_and_data_outlives_a_restart() {
    let fixture = Fixture::new().await;
    fixture
        .db
        .write(|conn| {
            Box::pin(async move {
                sqlx::query("INSERT INTO things VALUES ('a', 'x')").execute(conn).await
            })
        })
        .await
        .unwrap();
    fixture.db.close().await;

    let fixture = Fixture { db: open(&fixture.folder).await.unwrap(), ..fixture };
    assert_eq!(fixture.names().await, ["a"]);
}

#[tokio::test]
async fn an_acknowledged_write_is_on_disk() {
    let Fixture { db, .. } = Fixture::new().await;
    let (mode, synchronous, keys) = db
        .write(|conn| {
            Box::pin(async move {
                let mode: String =
                    sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *conn).await?;
                let synchronous: i64 =
                    sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *conn).await?;
                let keys: i64 = sqlx::query_scalar("PRAGMA foreign_keys").fetch_one(conn).await?;
                Ok::<_, sqlx::Error>((mode, synchronous, keys))
            })
        })
        .await
        .unwrap();
    const FULL: i64 = 2;
    assert_eq!((mode.as_str(), synchronous, keys), ("wal", FULL, 1));
    assert_eq!(pragma(db.reader(), "PRAGMA journal_mode").await, "wal");
}

#[tokio::test]
async fn readers_cannot_write() {
    let Fixture { db, .. } = Fixture::new().await;
    let error = sqlx::query("INSERT INTO things (name) VALUES ('a')")
        .execute(db.reader())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("readonly"), "{error}");
}

#[tokio::test]
async fn a_second_opening_is_refused_and_names_the_process_until_the_first_is_closed() {
    let fixture = Fixture::new().await;
    let error = open(&fixture.folder).await.unwrap_err();
    assert!(matches!(&error, OpenError::InUse { by: Some(id), .. } if *id == std::process::id()));
    assert!(error.to_string().ends_with(&format!("in use by process {}", std::process::id())));

    let clone = fixture.db.clone();
    fixture.db.close().await;
    open(&fixture.folder).await.unwrap().close().await;
    drop(clone);
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_to_the_file_is_the_same_database() {
    let fixture = Fixture::new().await;
    let link = fixture.folder.path().join("link.db");
    std::os::unix::fs::symlink(fixture.folder.path().join("data/test.db"), &link).unwrap();
    assert!(refusal(link).await.contains("in use"));
}

#[tokio::test]
async fn a_path_that_is_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "x".repeat(4096)).unwrap();

    let file_as_folder = refusal(file.join("deep/test.db")).await;
    assert_eq!(file_as_folder, format!("{} is a file, not a folder", file.display()));
    let folder_as_file = refusal(folder.path()).await;
    assert!(folder_as_file.ends_with("is a folder, not a database file"), "{folder_as_file}");
    let text = refusal(&file).await;
    assert_eq!(text, format!("{} is not a SQLite database", file.display()));
}

/// `/proc` takes no new files from anybody, the superuser included.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_unwritable_folder_is_named() {
    let file = refusal("/proc/test.db").await;
    assert!(file.starts_with("cannot write in the folder /proc: "), "{file}");
    let folder = refusal("/proc/deep/test.db").await;
    assert!(folder.starts_with("cannot make the folder /proc/deep: "), "{folder}");
}

#[tokio::test]
async fn a_database_of_a_newer_release_is_left_alone() {
    let fixture = Fixture::new().await;
    fixture.db.close().await;
    let older = Migrator::with_migrations(Vec::new());
    let path = fixture.folder.path().join("data/test.db");
    let error = Sqlite::open(&Settings::new(path), &older).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { version: 1, .. }), "{error}");
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    let fixture = Fixture::new().await;
    fixture.db.close().await;
    let path = fixture.folder.path().join("data/test.db");
    let pool =
        sqlx::SqlitePool::connect_with(sqlx::sqlite::SqliteConnectOptions::new().filename(path))
            .await
            .unwrap();
    MIGRATOR.undo(&pool, 0).await.unwrap();
    let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'things'";
    assert_eq!(sqlx::query_scalar::<_, i64>(tables).fetch_one(&pool).await.unwrap(), 0);
    pool.close().await;

    let fixture = Fixture { db: open(&fixture.folder).await.unwrap(), ..fixture };
    assert!(fixture.names().await.is_empty());
}

#[tokio::test]
async fn a_closed_database_does_not_answer() {
    let Fixture { db, .. } = Fixture::new().await;
    db.ping().await.unwrap();
    db.close().await;
    assert!(db.ping().await.is_err());
}
