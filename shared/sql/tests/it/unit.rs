//! Units of work on SQLite.

use std::{sync::Arc, time::Duration};

use gantry_sql::{Database, Settings, StorageError};
use tokio::{sync::Notify, task::JoinHandle};

use crate::{Fixture, MIGRATIONS, add, insert};

/// Begins a unit that waits for `proceed`, then inserts a thing. Returns once it has begun.
async fn slow(db: &Database, proceed: &Arc<Notify>) -> JoinHandle<Result<(), sqlx::Error>> {
    let begun = Arc::new(Notify::new());
    let state = (Arc::clone(&begun), Arc::clone(proceed));
    let db = db.clone();
    let unit = tokio::spawn(async move {
        db.write(state, |conn, (begun, proceed)| {
            Box::pin(async move {
                begun.notify_one();
                proceed.notified().await;
                add(conn, "a", "x").await
            })
        })
        .await
    });
    begun.notified().await;
    unit
}

#[tokio::test]
async fn a_unit_that_refuses_leaves_nothing() {
    let fixture = Fixture::new().await;
    let refused: Result<(), sqlx::Error> = fixture
        .db
        .write((), |conn, ()| {
            Box::pin(async move {
                add(conn, "a", "x").await?;
                Err(sqlx::Error::RowNotFound)
            })
        })
        .await;
    assert!(matches!(refused, Err(sqlx::Error::RowNotFound)));
    assert!(fixture.names().await.is_empty());
    insert(&fixture.db, "b", "y").await.unwrap();
}

#[tokio::test]
async fn a_unit_that_ignores_an_error_is_not_committed() {
    let fixture = Fixture::new().await;
    let refused: Result<(), sqlx::Error> = fixture
        .db
        .write((), |conn, ()| {
            Box::pin(async move {
                add(conn, "a", "x").await?;
                let _ignored = add(conn, "a", "x").await;
                Ok(())
            })
        })
        .await;
    let error = StorageError::from(refused.unwrap_err()).to_string();
    assert!(error.contains("a statement of the unit failed"), "{error}");
    assert!(fixture.names().await.is_empty());
    insert(&fixture.db, "b", "y").await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_only_for_as_long_as_it_is_full() {
    let fixture = Fixture::new().await;
    let full: Result<u64, sqlx::Error> = fixture
        .db
        .write((), |conn, ()| {
            Box::pin(async move {
                conn.query("PRAGMA max_page_count = 1").execute().await?;
                let large = "INSERT INTO things VALUES (hex(zeroblob(100000)), 'x')";
                conn.query(large).execute().await
            })
        })
        .await;
    assert!(full.unwrap_err().to_string().contains("disk is full"));
    insert(&fixture.db, "a", "x").await.unwrap();
    assert_eq!(fixture.names().await, ["a"]);
}

#[tokio::test]
async fn a_panic_rolls_back_and_reaches_the_caller() {
    let fixture = Fixture::new().await;
    let db = fixture.db.clone();
    let caller = tokio::spawn(async move {
        db.write::<_, (), sqlx::Error, _>((), |conn, ()| {
            Box::pin(async move {
                add(conn, "a", "x").await?;
                panic!("a bug")
            })
        })
        .await
    });
    assert!(caller.await.unwrap_err().is_panic());
    assert!(fixture.names().await.is_empty());
    insert(&fixture.db, "b", "y").await.unwrap();
}

#[tokio::test]
async fn a_unit_that_has_begun_is_finished_without_its_caller_and_before_closing() {
    let fixture = Fixture::new().await;
    let proceed = Arc::new(Notify::new());
    let caller = slow(&fixture.db, &proceed).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());

    proceed.notify_one();
    fixture.db.close().await;
    let fixture = Fixture { db: crate::open(&fixture.folder).await.unwrap(), ..fixture };
    assert_eq!(fixture.names().await, ["a"]);
}

#[tokio::test]
async fn a_unit_that_waits_its_turn_is_given_up_with_its_caller() {
    let fixture = Fixture::new().await;
    let proceed = Arc::new(Notify::new());
    let first = slow(&fixture.db, &proceed).await;
    let waiting = insert(&fixture.db, "b", "y");
    assert!(tokio::time::timeout(Duration::from_millis(20), waiting).await.is_err());

    proceed.notify_one();
    first.await.unwrap().unwrap();
    insert(&fixture.db, "c", "z").await.unwrap();
    assert_eq!(fixture.names().await, ["a", "c"]);
}

#[tokio::test]
async fn writers_take_turns_instead_of_colliding() {
    let fixture = Fixture::new().await;
    let writers: Vec<_> = (0..50)
        .map(|n| {
            let db = fixture.db.clone();
            tokio::spawn(async move { insert(&db, format!("{n:02}"), format!("{n}")).await })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(fixture.names().await.len(), 50);
}

#[tokio::test]
async fn a_lock_held_by_a_stranger_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::sqlite_file(folder.path().join("test.db"));
    settings.sqlite.busy_timeout = Duration::from_millis(1);
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&settings.sqlite.path);
    let stranger = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let _held = stranger.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = insert(&db, "a", "x").await.unwrap_err();
    assert!(matches!(error.into(), StorageError::Busy(_)));
}
