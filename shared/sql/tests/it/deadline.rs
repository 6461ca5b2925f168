//! The caller's deadline, on both engines.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use gantry_contract::{CallContext, access::Caller};
use gantry_sql::{Connection, Database, StorageError};
use gantry_sql_testing::Server;
use tokio::{sync::Notify, time::Instant};

use crate::{Fixture, MIGRATIONS, add, insert, names};

/// Runs on SQLite without an end.
const ENDLESS: &str =
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const SLEEP: &str = "SELECT count(*) FROM (SELECT pg_sleep(600)) AS slept";

/// Runs `call` as the handler of a call with this timeout.
async fn called<T>(timeout: Duration, call: impl Future<Output = T>) -> T {
    let deadline = Some(Instant::now() + timeout);
    let context = CallContext { deadline, request_id: "r".into(), caller: Caller::Anonymous };
    context.scope(call).await
}

fn assert_late<T: std::fmt::Debug>(result: Result<T, sqlx::Error>) {
    let error = StorageError::from(result.unwrap_err());
    assert!(matches!(error, StorageError::DeadlineExceeded(_)), "{error:?}");
}

async fn count(conn: &mut Connection, statement: &'static str) -> Result<i64, sqlx::Error> {
    conn.query(statement).fetch_value().await
}

/// Runs the statement in a unit that wrote before, and on a reader, with a deadline.
async fn end_both(db: &Database, statement: &'static str) {
    let soon = Duration::from_millis(200);
    let unit = db.write((), move |conn, ()| {
        Box::pin(async move {
            add(conn, "late", "late").await?;
            count(conn, statement).await
        })
    });
    assert_late(called(soon, unit).await);
    let read = async { count(&mut db.reader().await?, statement).await };
    assert_late(called(soon, read).await);
}

async fn postgres() -> Database {
    let settings = Server::shared().database().await;
    Database::open(&settings, &MIGRATIONS).await.unwrap()
}

#[tokio::test]
async fn sqlite_ends_a_statement_at_the_deadline() {
    let Fixture { db, folder: _folder } = Fixture::new().await;
    end_both(&db, ENDLESS).await;
    assert!(names(&db).await.is_empty());
    insert(&db, "a", "x").await.unwrap();

    // The next user of a connection has no deadline, or its own.
    let long = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1000000)
                SELECT count(*) FROM n";
    for _ in 0..8 {
        assert_eq!(count(&mut db.reader().await.unwrap(), long).await.unwrap(), 1_000_000);
    }
    let unit: Result<i64, sqlx::Error> = db.write((), |conn, ()| Box::pin(count(conn, long))).await;
    assert_eq!(unit.unwrap(), 1_000_000);
}

#[tokio::test]
async fn postgresql_ends_a_statement_at_the_deadline() {
    let db = postgres().await;
    end_both(&db, SLEEP).await;
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                  AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%pg_sleep%'";
    assert_eq!(count(&mut db.reader().await.unwrap(), asleep).await.unwrap(), 0);
    assert!(names(&db).await.is_empty());
    insert(&db, "a", "x").await.unwrap();
    for _ in 0..8 {
        assert_eq!(limit(&mut db.reader().await.unwrap()).await.unwrap(), 60_000);
    }
}

/// Returns the server's limit of a statement in milliseconds.
async fn limit(conn: &mut Connection) -> Result<i64, sqlx::Error> {
    let setting = "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'";
    count(conn, setting).await
}

#[tokio::test]
async fn a_later_statement_has_only_the_rest_of_the_time() {
    let db = postgres().await;
    let unit = db.write((), |conn, ()| {
        Box::pin(async move {
            let first = limit(conn).await?;
            tokio::time::sleep(Duration::from_secs(2)).await;
            Ok::<_, sqlx::Error>((first, limit(conn).await?))
        })
    });
    let (first, second) = called(Duration::from_secs(10), unit).await.unwrap();
    assert!(first <= 10_000 && second <= 8_000, "{first} {second}");
}

#[tokio::test]
async fn a_commit_under_way_is_finished_after_the_deadline() {
    let db = postgres().await;
    for statement in [
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(2); RETURN NULL; END'",
        "CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON things DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION slow()",
    ] {
        let done: Result<u64, sqlx::Error> =
            db.write((), |conn, ()| Box::pin(conn.query(statement).execute())).await;
        done.unwrap();
    }
    called(Duration::from_secs(1), insert(&db, "a", "x")).await.unwrap();
    assert_eq!(names(&db).await, ["a"]);
}

/// Holds the only connection that writes, and checks that a caller waits for it until its deadline.
async fn wait_for_the_writer(db: Database) {
    let begun = Arc::new(Notify::new());
    let proceed = Arc::new(Notify::new());
    let state = (Arc::clone(&begun), Arc::clone(&proceed));
    let holder = db.clone();
    let holder = tokio::spawn(async move {
        let unit = holder.write(state, |_conn, (begun, proceed)| {
            Box::pin(async move {
                begun.notify_one();
                proceed.notified().await;
                Ok::<_, sqlx::Error>(())
            })
        });
        unit.await
    });
    begun.notified().await;
    assert_late(called(Duration::from_millis(50), insert(&db, "a", "x")).await);
    proceed.notify_one();
    holder.await.unwrap().unwrap();
    insert(&db, "b", "y").await.unwrap();
    assert_eq!(names(&db).await, ["b"]);
}

#[tokio::test]
async fn a_wait_for_a_connection_ends_at_the_deadline() {
    let Fixture { db, folder: _folder } = Fixture::new().await;
    wait_for_the_writer(db).await;
    let mut settings = Server::shared().database().await;
    settings.postgres.writers = std::num::NonZeroU32::MIN;
    wait_for_the_writer(Database::open(&settings, &MIGRATIONS).await.unwrap()).await;
}

#[tokio::test]
async fn a_unit_does_not_run_again_after_the_deadline() {
    let db = postgres().await;
    let runs = Arc::new(AtomicU32::new(0));
    let unit = db.write(Arc::clone(&runs), |conn, runs| {
        Box::pin(async move {
            runs.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            Err::<(), _>(conn.conflict())
        })
    });
    assert_late(called(Duration::from_millis(1_500), unit).await);
    assert!(runs.load(Ordering::Relaxed) <= 2);
}
