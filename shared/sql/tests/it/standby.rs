//! A streaming replica that lags.

use std::time::Duration;

use gantry_saga::{Context, Log, NewSaga};
use gantry_sql::{Connection, Database, sagas};
use gantry_sql_testing::Server;
use uuid::Uuid;

use crate::{MIGRATIONS, add, commit::make, insert, names, pause};

async fn read(mut conn: Connection) -> Vec<String> {
    let names = conn.query("SELECT name FROM things ORDER BY name").fetch_all().await.unwrap();
    names.into_iter().map(|(name,)| name).collect()
}

/// A primary, its standby, and a database that reads the standby.
async fn start() -> (Server, Server, Database) {
    let primary = Server::start();
    let standby = primary.start_standby();
    let mut settings = primary.database().await;
    settings.postgres.read_url = Some(standby.replica_of(&settings.postgres.url));
    standby.catch_up(&primary).await;
    let db = Database::open(&settings, &MIGRATIONS).await.unwrap();
    insert(&db, "before", "before").await.unwrap();
    standby.catch_up(&primary).await;
    (primary, standby, db)
}

#[tokio::test]
async fn only_queries_that_may_be_old_read_a_lagging_standby() {
    let (primary, standby, db) = start().await;
    assert_eq!(read(db.replica().await.unwrap()).await, ["before"]);
    let mut replica = db.replica().await.unwrap();
    let error = add(&mut replica, "x", "x").await.unwrap_err();
    assert!(error.to_string().contains("read-only transaction"), "{error}");
    drop(replica);

    standby.pause_replay().await;
    assert!(!make(db.clone()).await.unwrap());
    assert!(make(db.clone()).await.unwrap(), "a repeated request is recognised");
    let saga = NewSaga::new(Uuid::nil(), "test", &"input", Context::default()).unwrap();
    let begun = db.write(saga, |conn, saga| Box::pin(sagas::begin(conn, saga))).await;
    begun.map_err(|error: sqlx::Error| error).unwrap();
    let log = sagas::SagaLog::open(db.clone()).await.unwrap();
    let claimed = log.claim(&["test"], 1, Duration::from_secs(60)).await.unwrap();
    assert_eq!(claimed.len(), 1, "a saga that began is driven");
    assert!(log.find(Uuid::nil()).await.unwrap().is_some());
    db.probe().await.unwrap();
    assert_eq!(names(&db).await, ["before", "made"]);
    assert_eq!(read(db.replica().await.unwrap()).await, ["before"], "the standby lags");

    standby.resume_replay().await;
    standby.catch_up(&primary).await;
    assert_eq!(read(db.replica().await.unwrap()).await, ["before", "made"]);
}

#[tokio::test]
async fn the_primary_answers_for_a_killed_standby() {
    let (primary, standby, db) = start().await;
    standby.kill();
    assert_eq!(read(db.replica().await.unwrap()).await, ["before"]);
    insert(&db, "meanwhile", "meanwhile").await.unwrap();
    db.probe().await.unwrap();
    assert_eq!(read(db.replica().await.unwrap()).await, ["before", "meanwhile"]);

    standby.start_again();
    standby.catch_up(&primary).await;
    let on_standby = "SELECT pg_is_in_recovery()";
    while !db.replica().await.unwrap().query(on_standby).fetch_value::<bool>().await.unwrap() {
        pause().await;
    }
    assert_eq!(read(db.replica().await.unwrap()).await, ["before", "meanwhile"]);
}
