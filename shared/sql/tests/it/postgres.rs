//! Units of work on PostgreSQL, through two pools as two processes have them.

use std::time::Duration;

use gantry_sql::{Connection, Database, Settings, StorageError};
use gantry_sql_testing::Server;
use tokio::task::JoinSet;

use crate::{MIGRATIONS, add, insert, names};

async fn settings() -> Settings {
    Server::shared().database().await
}

async fn open(settings: &Settings) -> Database {
    Database::open(settings, &MIGRATIONS).await.unwrap()
}

async fn one() -> Database {
    open(&settings().await).await
}

async fn two() -> [Database; 2] {
    let settings = settings().await;
    [open(&settings).await, open(&settings).await]
}

/// Sessions of the database that are in a transaction.
async fn in_transaction(db: &Database) -> i64 {
    let mut conn = db.reader().await.unwrap();
    let sessions = conn.query(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
    );
    sessions.fetch_value().await.unwrap()
}

/// Adds one to the number in `code`, by reading it first.
async fn raise(conn: &mut Connection) -> Result<(), sqlx::Error> {
    let code: String = conn.query("SELECT code FROM things WHERE name = 'n'").fetch_value().await?;
    let next = code.parse::<u32>().unwrap() + 1;
    let update = conn.query("UPDATE things SET code = $1 WHERE name = 'n'");
    update.bind(next.to_string()).execute().await.map(drop)
}

async fn raise_locked(conn: &mut Connection) -> Result<(), sqlx::Error> {
    let lock = conn.query("SELECT name FROM things WHERE name = 'n' ORDER BY name FOR UPDATE");
    lock.fetch_all::<(String,)>().await?;
    raise(conn).await
}

async fn number(db: &Database) -> u32 {
    let mut conn = db.reader().await.unwrap();
    let code = conn.query("SELECT code FROM things WHERE name = 'n'");
    code.fetch_value::<String>().await.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_update_of_64_units_is_lost() {
    let replicas = two().await;
    insert(&replicas[0], "n", "0").await.unwrap();
    let mut units = JoinSet::new();
    for db in replicas.iter().cycle().take(64) {
        let db = db.clone();
        units.spawn(
            async move { db.write_locked((), |conn, ()| Box::pin(raise_locked(conn))).await },
        );
    }
    for done in units.join_all().await {
        done.unwrap();
    }
    assert_eq!(number(&replicas[1]).await, 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_storm_of_conflicts_loses_nothing_and_is_busy() {
    let replicas = two().await;
    insert(&replicas[0], "n", "0").await.unwrap();
    let mut units = JoinSet::new();
    for db in replicas.iter().cycle().take(64) {
        let db = db.clone();
        units.spawn(async move { db.write((), |conn, ()| Box::pin(raise(conn))).await });
    }
    let mut raised = 0;
    for done in units.join_all().await {
        match done.map_err(StorageError::from) {
            Ok(()) => raised += 1,
            Err(StorageError::Busy(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(number(&replicas[1]).await, raised);
    assert!(raised > 0);
}

#[tokio::test]
async fn a_unit_that_ignores_an_error_is_not_committed() {
    let db = one().await;
    let refused: Result<(), sqlx::Error> = db
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
    assert!(names(&db).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_dropped_caller_leaves_a_transaction_open() {
    let db = one().await;
    for round in 0..60 {
        let caller = db.write(round, |conn, round| {
            Box::pin(async move {
                for step in 0..4 {
                    add(conn, &format!("{round} {step}"), &format!("{round} {step}")).await?;
                }
                Ok::<_, sqlx::Error>(())
            })
        });
        // Dropped a little later in each round, so at every await of the unit.
        let _dropped = tokio::time::timeout(Duration::from_micros(40 * round), caller).await;
    }
    // A unit that has begun ends by itself.
    while in_transaction(&db).await > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let names = names(&db).await;
    assert_eq!(names.len() % 4, 0, "a unit was committed in part");
    insert(&db, "after", "after").await.unwrap();
}

#[tokio::test]
async fn a_statement_dropped_within_a_unit_stops_the_commit() {
    let db = one().await;
    let refused: Result<(), sqlx::Error> = db
        .write((), |conn, ()| {
            Box::pin(async move {
                add(conn, "a", "x").await?;
                let slow = conn.query("SELECT pg_sleep(10)").execute();
                let _dropped = tokio::time::timeout(Duration::from_millis(20), slow).await;
                Ok(())
            })
        })
        .await;
    assert!(refused.unwrap_err().to_string().contains("a statement of the unit failed"));
}

#[tokio::test]
async fn readers_cannot_write() {
    let db = one().await;
    let mut reader = db.reader().await.unwrap();
    let error = add(&mut reader, "a", "x").await.unwrap_err();
    assert!(error.to_string().contains("read-only transaction"), "{error}");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_busy() {
    let mut settings = settings().await;
    settings.postgres.statement_timeout = Duration::from_millis(20);
    let db = open(&settings).await;
    let slow: Result<u64, sqlx::Error> =
        db.write((), |conn, ()| Box::pin(conn.query("SELECT pg_sleep(10)").execute())).await;
    assert!(matches!(slow.unwrap_err().into(), StorageError::Busy(_)));
}

#[tokio::test]
async fn a_probe_tells_a_server_that_answers_from_one_that_is_gone() {
    let server = Server::start();
    let db = open(&server.database().await).await;
    db.probe().await.unwrap();
    drop(server);
    while db.probe().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let error = insert(&db, "a", "x").await.unwrap_err();
    let error = StorageError::from(error);
    assert!(matches!(error, StorageError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn each_refusal_of_the_server_is_named() {
    let good = settings().await;
    let refusal = async |settings: Settings| {
        Database::open(&settings, &MIGRATIONS).await.unwrap_err().to_string()
    };
    let at = |url: String| Settings::postgres_url(url);
    let url = &good.postgres.url;
    let none = refusal(at(url.replace("/test_", "/absent_"))).await;
    assert!(none.contains("\"absent_") && none.contains("does not exist"), "{none}");
    let user = refusal(at(url.replace("gantry@", "stranger@"))).await;
    assert!(user.contains("\"stranger\" does not exist"), "{user}");
    let nobody = refusal(at("postgres://gantry@127.0.0.1:1/user".to_owned())).await;
    assert!(nobody.contains("cannot open the database postgres://gantry@127.0.0.1:1"), "{nobody}");
    let no_url = refusal(at("user.db".to_owned())).await;
    assert!(no_url.starts_with("database.postgres.url: expected postgres://"), "{no_url}");
    let mut password = good.clone();
    password.postgres.password_file = Some("/nonexistent".into());
    let password = refusal(password).await;
    assert!(password.contains("/nonexistent"), "{password}");
}

#[tokio::test]
async fn an_older_release_runs_on_a_newer_schema() {
    let settings = settings().await;
    let newer = open(&settings).await;
    let none = || sqlx::migrate::Migrator::with_migrations(Vec::new());
    let older = gantry_sql::Migrations { sqlite: none(), postgres: none(), shared: &[] };
    let older = Database::open(&settings, &older).await.unwrap();
    insert(&older, "a", "x").await.unwrap();
    assert_eq!(names(&newer).await, ["a"]);
}

#[tokio::test]
async fn of_replicas_that_start_at_once_one_migrates() {
    let settings = settings().await;
    let mut starts = JoinSet::new();
    for _ in 0..6 {
        let settings = settings.clone();
        starts.spawn(async move { Database::open(&settings, &MIGRATIONS).await });
    }
    for started in starts.join_all().await {
        started.unwrap();
    }
}

#[tokio::test]
async fn migrations_can_be_undone_and_applied_again() {
    let settings = settings().await;
    open(&settings).await.close().await;
    let pool = sqlx::PgPool::connect(&settings.postgres.url).await.unwrap();
    MIGRATIONS.postgres.undo(&pool, 0).await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename = 'things'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert!(names(&open(&settings).await).await.is_empty());
}
