use std::{sync::Arc, time::Duration};

use gantry_sql::{Sqlite, StorageError, unique_violation};
use tokio::sync::Notify;

use crate::Fixture;

async fn insert(db: &Sqlite, name: &'static str, code: &'static str) -> Result<(), sqlx::Error> {
    db.write(move |conn| {
        Box::pin(async move {
            sqlx::query("INSERT INTO things VALUES (?, ?)")
                .bind(name)
                .bind(code)
                .execute(conn)
                .await
                .map(drop)
        })
    })
    .await
}

#[tokio::test]
async fn a_unit_that_refuses_leaves_nothing() {
    let fixture = Fixture::new().await;
    let refused: Result<(), sqlx::Error> = fixture
        .db
        .write(|conn| {
            Box::pin(async move {
                sqlx::query("INSERT INTO things VALUES ('a', 'x')").execute(conn).await?;
                Err(sqlx::Error::RowNotFound)
            })
        })
        .await;
    assert!(matches!(refused, Err(sqlx::Error::RowNotFound)));
    assert!(fixture.names().await.is_empty());
    insert(&fixture.db, "b", "y").await.unwrap();
}

#[tokio::test]
async fn a_full_disk_is_an_error_only_for_as_long_as_it_is_full() {
    let fixture = Fixture::new().await;
    let full: Result<(), sqlx::Error> = fixture
        .db
        .write(|conn| {
            Box::pin(async move {
                sqlx::query("PRAGMA max_page_count = 1").execute(&mut *conn).await?;
                sqlx::query("INSERT INTO things VALUES (hex(zeroblob(100000)), 'x')")
                    .execute(conn)
                    .await
                    .map(drop)
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
        db.write::<(), sqlx::Error, _>(|conn| {
            Box::pin(async move {
                sqlx::query("INSERT INTO things VALUES ('a', 'x')").execute(conn).await?;
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
    let (begun, proceed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let caller = tokio::spawn({
        let (db, begun, proceed) = (fixture.db.clone(), begun.clone(), proceed.clone());
        async move {
            db.write::<_, sqlx::Error, _>(move |conn| {
                Box::pin(async move {
                    begun.notify_one();
                    proceed.notified().await;
                    sqlx::query("INSERT INTO things VALUES ('a', 'x')").execute(conn).await
                })
            })
            .await
        }
    });
    begun.notified().await;
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
    let (begun, proceed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let first = tokio::spawn({
        let (db, begun, proceed) = (fixture.db.clone(), begun.clone(), proceed.clone());
        async move {
            db.write::<_, sqlx::Error, _>(move |conn| {
                Box::pin(async move {
                    begun.notify_one();
                    proceed.notified().await;
                    sqlx::query("INSERT INTO things VALUES ('a', 'x')").execute(conn).await
                })
            })
            .await
        }
    });
    begun.notified().await;
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
            tokio::spawn(async move {
                db.write(move |conn| {
                    Box::pin(async move {
                        sqlx::query("INSERT INTO things VALUES (?, ?)")
                            .bind(format!("{n:02}"))
                            .bind(format!("{n}"))
                            .execute(conn)
                            .await
                    })
                })
                .await
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(fixture.names().await.len(), 50);
}

#[tokio::test]
async fn a_broken_constraint_is_told_by_its_name() {
    let fixture = Fixture::new().await;
    insert(&fixture.db, "a", "x").await.unwrap();
    let column = insert(&fixture.db, "a", "y").await.unwrap_err();
    assert_eq!(unique_violation(&column), Some("things.name"));
    let index = insert(&fixture.db, "b", "X").await.unwrap_err();
    assert_eq!(unique_violation(&index), Some("things_code"));
    assert!(matches!(column.into(), StorageError::Failed(_)));
    assert_eq!(unique_violation(&sqlx::Error::RowNotFound), None);
}

#[tokio::test]
async fn a_lock_held_by_a_stranger_is_busy() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = gantry_sql::Settings::new(folder.path().join("test.db"));
    settings.busy_timeout = Duration::from_millis(1);
    let db = Sqlite::open(&settings, &crate::MIGRATOR).await.unwrap();

    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&settings.path);
    let stranger = sqlx::SqlitePool::connect_with(options).await.unwrap();
    let _held = stranger.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = insert(&db, "a", "x").await.unwrap_err();
    assert!(matches!(error.into(), StorageError::Busy(_)));
}
