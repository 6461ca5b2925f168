//! A PostgreSQL server that goes away and comes back.

use std::{num::NonZeroU32, process::Command, time::Duration};

use gantry_sql::{Database, StorageError};
use gantry_sql_testing::Server;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{MIGRATIONS, add, insert, names, pause, polls::polled};

async fn open(server: &Server) -> Database {
    Database::open(&server.database().await, &MIGRATIONS).await.unwrap()
}

/// Returns the text of an error that must be UNAVAILABLE.
fn unavailable<T: std::fmt::Debug>(result: Result<T, sqlx::Error>) -> String {
    let error = StorageError::from(result.unwrap_err());
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_killed_server_is_unavailable_until_it_is_back() {
    let server = Server::start();
    let db = open(&server).await;
    insert(&db, "before", "before").await.unwrap();
    db.probe().await.unwrap();

    server.kill();
    let first = unavailable(insert(&db, "a", "a").await);
    assert!(first.contains("the server cannot be reached"), "{first}");
    unavailable(db.reader().await);
    // Though a write was committed a moment ago.
    while db.probe().await.is_ok() {
        pause().await;
    }
    while !unavailable(insert(&db, "a", "a").await).contains("the circuit breaker is open") {}
    loop {
        let detail = db.probe().await.unwrap_err().to_string();
        if detail.contains("the circuit breaker is open") {
            break;
        }
        pause().await;
    }

    server.start_again();
    // Readiness alone brings it back, without another call.
    while db.probe().await.is_err() {
        pause().await;
    }
    while let Err(error) = insert(&db, "after", "after").await {
        assert!(matches!(error.into(), StorageError::Unavailable(_)));
        pause().await;
    }
    assert_eq!(names(&db).await, ["after", "before"]);
}

/// Writes until it is stopped. Returns the names that were acknowledged.
async fn write(db: Database, writer: usize, stop: CancellationToken) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut number = 0;
    while !stop.is_cancelled() {
        let name = format!("{writer} {number}");
        number += 1;
        match insert(&db, &name, &name).await {
            Ok(()) => acknowledged.push(name),
            Err(_) => pause().await,
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_acknowledged_write_is_lost_in_a_crash() {
    let server = Server::start();
    let db = open(&server).await;
    let stop = CancellationToken::new();
    let mut writers = JoinSet::new();
    for writer in 0..16 {
        writers.spawn(write(db.clone(), writer, stop.clone()));
    }
    while names(&db).await.len() < 100 {
        pause().await;
    }
    server.kill();
    pause().await;
    server.start_again();
    while insert(&db, "back", "back").await.is_err() {
        pause().await;
    }
    // The breaker closes by the writers' calls.
    while db.reader().await.is_err() {
        pause().await;
    }
    let back = names(&db).await.len();
    while names(&db).await.len() < back + 100 {
        pause().await;
    }
    stop.cancel();
    let acknowledged = writers.join_all().await.concat();
    let stored = names(&db).await;
    let lost: Vec<_> = acknowledged.iter().filter(|name| !stored.contains(name)).collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// A server process that is stopped, until it is dropped.
struct Stopped(String);

impl Stopped {
    fn new(pid: i32) -> Self {
        let stopped = Self(pid.to_string());
        assert!(stopped.signal("-STOP"));
        stopped
    }

    fn signal(&self, signal: &str) -> bool {
        Command::new("kill").args([signal, &self.0]).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test]
async fn a_session_that_hangs_is_replaced() {
    let server = Server::start();
    let mut settings = server.database().await;
    settings.postgres.writers = NonZeroU32::MIN;
    settings.postgres.statement_timeout = Duration::from_millis(200);
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    let unit = db.write((), |conn, ()| {
        Box::pin(async move {
            let pid = conn.query("SELECT pg_backend_pid()").fetch_value().await?;
            let _stopped = Stopped::new(pid);
            add(conn, "a", "a").await
        })
    });
    let hung = unavailable(unit.await);
    assert!(hung.contains("the server does not answer"), "{hung}");
    insert(&db, "b", "b").await.unwrap();
    assert_eq!(names(&db).await, ["b"]);
}

/// Stops the server process of a reader and drops the reader: between two statements, or within one.
async fn drop_a_stopped_reader(db: &Database, is_busy: bool) -> Stopped {
    let mut reader = db.reader().await.unwrap();
    let pid = reader.query("SELECT pg_backend_pid()").fetch_value().await.unwrap();
    let stopped = Stopped::new(pid);
    if is_busy {
        let statement = Box::pin(reader.query("SELECT count(*) FROM things").execute());
        assert!(polled(statement, 1).await.is_none());
    }
    stopped
}

#[tokio::test]
async fn a_returned_connection_of_a_hanging_session_is_replaced() {
    let mut settings = Server::shared().database().await;
    settings.postgres.readers = NonZeroU32::MIN;
    settings.postgres.statement_timeout = Duration::from_millis(200);
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    for is_busy in [false, true] {
        let _stopped = drop_a_stopped_reader(&db, is_busy).await;
        assert!(names(&db).await.is_empty());
    }
    let _stopped = drop_a_stopped_reader(&db, false).await;
    db.close().await;
}

/// Ends all other sessions of the database, as an operator does.
const TERMINATE: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                         WHERE datname = current_database() AND pid <> pg_backend_pid()";

#[tokio::test]
async fn a_terminated_session_loses_only_its_unit() {
    let db = open(Server::shared()).await;
    let operator = db.clone();
    let unit = db.write(operator, |conn, operator| {
        Box::pin(async move {
            add(conn, "a", "a").await?;
            let mut operator = operator.reader().await?;
            assert!(operator.query(TERMINATE).fetch_value::<i64>().await? > 0);
            add(conn, "b", "b").await
        })
    });
    unavailable(unit.await);
    assert!(names(&db).await.is_empty());
    insert(&db, "c", "c").await.unwrap();
    assert_eq!(names(&db).await, ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sessions_that_ended_while_idle_fail_no_call() {
    let db = open(Server::shared()).await;
    let mut units = JoinSet::new();
    for number in 0..16 {
        let db = db.clone();
        units.spawn(async move { insert(&db, format!("{number}"), format!("{number}")).await });
    }
    units.join_all().await;
    let mut readers = Vec::new();
    for _ in 0..8 {
        readers.push(db.reader().await.unwrap());
    }
    let mut operator = readers.pop().unwrap();
    drop(readers);
    assert!(operator.query(TERMINATE).fetch_value::<i64>().await.unwrap() > 8);
    drop(operator);
    insert(&db, "after", "after").await.unwrap();
    assert_eq!(names(&db).await.len(), 17);
}
