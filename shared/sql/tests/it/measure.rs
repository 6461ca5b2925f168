//! Metrics of connections and statements, as a scrape reads them.

use gantry_sql::{Database, Settings};
use gantry_sql_testing::Server;
use gantry_telemetry::Metrics;

use crate::{MIGRATIONS, insert, names, polls::polled};

/// Returns the value of the series with this name that has all of these labels.
fn value(metrics: &Metrics, name: &str, labels: &[&str]) -> Option<f64> {
    let text = metrics.text();
    let mut series = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'))
            && labels.iter().all(|label| line.contains(label))
    });
    let line = series.next()?;
    assert_eq!(series.next(), None, "{labels:?} are of one series");
    line.rsplit_once(' ')?.1.parse().ok()
}

/// Returns the number of statements of a kind that ended so.
fn statements(metrics: &Metrics, operation: &str, table: &str, outcome: &str) -> f64 {
    let labels = [
        "gantry_service=\"things\"",
        &format!("gantry_operation=\"{operation}\""),
        &format!("gantry_table=\"{table}\""),
        &format!("gantry_outcome=\"{outcome}\""),
    ];
    value(metrics, "gantry_database_statement_duration_seconds_count", &labels).unwrap_or(0.0)
}

fn waits(metrics: &Metrics, pool: &str, outcome: &str) -> f64 {
    let labels = [format!("gantry_pool=\"{pool}\""), format!("gantry_outcome=\"{outcome}\"")];
    let labels = labels.each_ref().map(String::as_str);
    value(metrics, "gantry_database_wait_duration_seconds_count", &labels).unwrap_or(0.0)
}

fn connections(metrics: &Metrics, pool: &str, state: &str) -> f64 {
    let labels = [format!("gantry_pool=\"{pool}\""), format!("gantry_state=\"{state}\"")];
    let labels = labels.each_ref().map(String::as_str);
    value(metrics, "gantry_database_connections", &labels).unwrap()
}

async fn open(settings: &Settings, metrics: &Metrics) -> Database {
    let db = Database::open(settings, &MIGRATIONS).await.unwrap();
    db.measured(&metrics.meter(), "things")
}

/// Counts on either engine.
async fn statements_are_counted(settings: &Settings) {
    let metrics = Metrics::new("things").unwrap();
    let db = open(settings, &metrics).await;
    assert_eq!(waits(&metrics, "writer", "ok"), 0.0);
    insert(&db, "a", "x").await.unwrap();
    insert(&db, "b", "y").await.unwrap();
    insert(&db, "a", "z").await.unwrap_err();
    assert_eq!(names(&db).await, ["a", "b"]);

    assert_eq!(statements(&metrics, "insert", "things", "ok"), 2.0);
    assert_eq!(statements(&metrics, "insert", "things", "failed"), 1.0);
    assert_eq!(statements(&metrics, "select", "things", "ok"), 1.0);
    let commits = ["gantry_operation=\"commit\"", "gantry_outcome=\"ok\""];
    let count = "gantry_database_statement_duration_seconds_count";
    assert_eq!(value(&metrics, count, &commits), Some(2.0));
    assert_eq!(waits(&metrics, "writer", "ok"), 3.0);
    assert_eq!(waits(&metrics, "reader", "ok"), 1.0);
    db.close().await;
}

#[tokio::test]
async fn statements_on_sqlite_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    statements_are_counted(&Settings::sqlite_file(folder.path().join("test.db"))).await;
}

#[tokio::test]
async fn statements_on_postgres_are_counted() {
    statements_are_counted(&Server::shared().database().await).await;
}

#[tokio::test]
async fn connections_in_use_and_waits_are_seen() {
    let mut settings = Server::shared().database().await;
    settings.postgres.readers = std::num::NonZeroU32::MIN;
    settings.postgres.read_url = Some(settings.postgres.url.clone());
    let metrics = Metrics::new("things").unwrap();
    let db = open(&settings, &metrics).await;
    for (pool, limit) in [("writer", 8.0), ("reader", 1.0), ("replica", 1.0)] {
        let label = format!("gantry_pool=\"{pool}\"");
        let now = value(&metrics, "gantry_database_connections_limit", &[&label]);
        assert_eq!(now, Some(limit), "{pool}");
    }
    assert_eq!(connections(&metrics, "reader", "used"), 0.0);
    let held = db.reader().await.unwrap();
    assert_eq!(connections(&metrics, "reader", "used"), 1.0);
    assert_eq!(connections(&metrics, "replica", "used"), 0.0);

    // A caller that goes away while it waits.
    let mut waiting = Box::pin(db.reader());
    assert!(polled(&mut waiting, 1).await.is_none());
    drop(waiting);
    assert_eq!(waits(&metrics, "reader", "dropped"), 1.0);
    drop(held);
    drop(db.reader().await.unwrap());
    assert_eq!(waits(&metrics, "reader", "ok"), 2.0);
    drop(db.replica().await.unwrap());
    assert_eq!(waits(&metrics, "replica", "ok"), 1.0);
    db.close().await;
    drop(db);
    let label = "gantry_pool=\"reader\"";
    assert_eq!(value(&metrics, "gantry_database_connections_limit", &[label]), None);
}

#[tokio::test]
async fn a_statement_that_is_dropped_is_seen() {
    let metrics = Metrics::new("things").unwrap();
    let db = open(&Server::shared().database().await, &metrics).await;
    let mut conn = db.reader().await.unwrap();
    let endless = conn.query("SELECT pg_sleep(60)::text, count(*) FROM things");
    let mut endless = Box::pin(endless.execute());
    assert!(polled(&mut endless, 1).await.is_none());
    drop(endless);
    assert_eq!(statements(&metrics, "select", "things", "dropped"), 1.0);
}
